"""MediaWiki dumps: articles as plain text, in order, from any layout of the file."""

import bz2
from pathlib import Path

import pytest

pytest.importorskip("mwparserfromhell", reason="the extra mediawiki is not installed")

from storage.corpus import source_mediawiki
from storage.corpus.source_rows import RowOptions
from storage.errors import CorpusError
from tests.storage.corpus.test_source_rows import read

HEADER = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">\n'
    '  <siteinfo><namespaces><namespace key="0" /><namespace key="6">Datei</namespace>'
    '<namespace key="14">Kategorie</namespace></namespaces></siteinfo>\n'
)
END = "</mediawiki>\n"
WIKITEXT = """{{Infobox|name=no}}'''Bach''' was a [[Composer|German composer]]<ref>no</ref> and [[organ]]ist.

== Works ==
* [https://a.b the list]
[[Datei:a.jpg|thumb|no]] [[File:b.jpg|no]] [[Kategorie:no]]
{| class="no"
| no
|}
The end."""
PLAIN = "Bach\nBach was a German composer and organist.\nWorks\nthe list\nThe end."


def page(title: str, text: str, ns: int = 0, redirect: bool = False) -> str:
    target = '<redirect title="x" />' if redirect else ""
    wikitext = text.replace("<", "&lt;").replace(">", "&gt;")
    return (
        f"  <page>\n<title>{title}</title><ns>{ns}</ns><id>1</id>{target}"
        f"<revision><id>2</id><text>{wikitext}</text></revision>\n  </page>\n"
    )


PAGES = [page("Bach", WIKITEXT), page("J. S. Bach", "#REDIRECT [[Bach]]", redirect=True), page("Talk:Bach", "no", 1)]
PAGES += [page(f"Town {number}", f"Town {number} is small.") for number in range(20)]
TEXTS = [PLAIN, *(f"Town {number}\nTown {number} is small." for number in range(20))]


def layout(name: str) -> bytes:
    whole = (HEADER + "".join(PAGES) + END).encode()
    if name == "xml":
        return whole
    if name == "bz2":
        return bz2.compress(whole)
    if name == "pbzip2":
        return b"".join(bz2.compress(whole[start : start + 700]) for start in range(0, len(whole), 700))
    groups = ["".join(PAGES[start : start + 5]) for start in range(0, len(PAGES), 5)]
    return b"".join(bz2.compress(part.encode()) for part in (HEADER, *groups, END))


@pytest.mark.parametrize("name", ["xml", "bz2", "pbzip2", "multistream"])
@pytest.mark.parametrize("workers", [False, pytest.param(True, marks=pytest.mark.long)])
def test_articles_are_read_from_every_layout(
    tmp_path: Path, name: str, workers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workers:
        monkeypatch.setattr(source_mediawiki, "SMALL_BYTES", 1)
        monkeypatch.setattr(source_mediawiki, "PART_BYTES", 900)
    options = RowOptions()
    assert read(tmp_path, layout(name), options=options) == TEXTS
    assert options.left_out == {"redirects": 1, "pages outside the article namespace": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (layout("xml")[:-20], "does not end with </mediawiki>; it is truncated"),
        (layout("bz2")[:-20], "decompression stopped after"),
        (layout("multistream")[: -len(bz2.compress(END.encode()))], "does not end with </mediawiki>"),
        (layout("multistream")[:-5], "decompression stopped after"),
        ((HEADER + PAGES[0].replace("</ns>", "") + END).encode(), "is not a valid MediaWiki dump"),
    ],
    ids=["xml", "bz2", "missing stream", "cut stream", "malformed"],
)
def test_a_damaged_dump_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, content)


def test_without_the_library_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_mediawiki, "find_spec", lambda _: None)
    with pytest.raises(CorpusError, match=r"pip install 'vecmill\[mediawiki\]'"):
        read(tmp_path, layout("xml"))
