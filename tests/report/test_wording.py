"""Names of measures, and texts that do not show where files are on this machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.wording import measure_meaning, measure_name, section_name, without_folders


def test_names_are_those_of_the_field() -> None:
    assert measure_name("wordsim353") == "WordSim-353"
    assert measure_name("my_gold") == "my gold"
    assert measure_name("wordsim353_change") == "WordSim-353, change"
    assert section_name("gram1-adjective-to-adverb") == "adjective to adverb"


def test_a_score_says_what_may_be_concluded_and_what_not() -> None:
    for metric in ("wordsim353", "simlex999", "men", "google_analogies", "stability_overlap"):
        assert "High: " in measure_meaning(metric)
        assert "It " in measure_meaning(metric)
    assert "interval excludes 0" in measure_meaning("my_gold_change")
    assert not measure_meaning("my_gold")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/texts/a.txt", "…/a.txt"),
        ('"/home/ann/My Texts/it\'s new/a b.txt"', '"…/a b.txt"'),
        ('["/data/x/*.txt", "/data/y.txt"]', '["…/*.txt", "…/y.txt"]'),
        ("~/texts/2026/", "…/2026/"),
        ("~ann/texts/a", "…/a"),
        ("imported from file /srv/a b/g.txt (glove, sha256 1f)", "imported from file …/g.txt (glove, sha256 1f)"),
        ("read /a/b.txt and /c/d.txt", "read …/b.txt and …/d.txt"),
        ("source:/home/ann/x.txt", "source:…/x.txt"),
        ("file:///home/ann/x.txt", "…/x.txt"),
        ("//server/share/x.txt", "…/x.txt"),
        ('{"path":"/home/ann/x.txt"}', '{"path":"…/x.txt"}'),
        ("(/home/안나/말뭉치.txt)", "(…/말뭉치.txt)"),
    ],
)  # fmt: skip
def test_a_path_of_this_machine_is_cut_to_its_name(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a/b.txt", "s3://bucket/a/b.txt", "hf://datasets/a/b", '"<br />"', "texts/a.txt",
        "../texts/a/b.txt", "a / b / c", "km/h and 1/2", "and/or/not", "CC BY-SA 3.0 / GFDL", "/", "/x", "",
        r'"a \"b\" \n \/ c"', "0.4/0.5",
    ],
)  # fmt: skip
def test_other_text_keeps_its_slashes(text: str) -> None:
    assert without_folders(text) == text


NAMES = st.text(st.characters(exclude_characters="/'\"<>", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(NAMES, min_size=2, max_size=5), st.sampled_from(["{}", '"{}"', "file {} (glove)", "from {}, and more"]))
def test_no_folder_of_any_path_is_left(parts: list[str], sentence: str) -> None:
    assert without_folders(sentence.format("/" + "/".join(parts))) == sentence.format(f"…/{parts[-1]}")
