"""Names and one-line descriptions of the metrics on the page, and removal of local paths from texts."""

import re

# Suffix of a metric that is the change from the previous release.
CHANGE = "_change"
_RELATED = "High: words of a topic are near. It doesn't mean that near words can replace each other"
# metric -> name, meaning: what it measures, and what a reader may conclude from a high value and what not
MEASURES = {
    "wordsim353": (
        "WordSim-353",
        f"Spearman correlation with people's scores of how related two words are. {_RELATED}",
    ),
    "simlex999": (
        "SimLex-999",
        "Spearman correlation with people's scores of how alike two words are. High: near words can often replace each "
        "other. It says nothing about topics, and antonyms, which are near in most vectors, lower it",
    ),
    "men": ("MEN", f"Spearman correlation with people's scores of how related two words are. {_RELATED}"),
    "google_analogies": (
        "Google analogies",
        "share of “a is to b as c is to …” answered with the expected word. High: plurals, tenses and capitals have "
        "regular directions. It says nothing about neighbours, and is low on small corpora",
    ),
    "google_analogies_3cosmul": ("Google analogies, 3CosMul", "the same by the product of similarities, not their sum"),
    "neighbor_overlap": (
        "Neighbours shared with the reference",
        "mean share of nearest words in common. A specialised corpus is meant to differ, so higher is not better",
    ),
    "neighbor_overlap_random": ("Neighbours shared by chance", "the same for random vectors, as a baseline"),
    "neighbor_rbo": ("Neighbours and their order shared", "rank-biased overlap: the nearest words count most"),
    "neighbor_rbo_random": ("Neighbours and order by chance", "the same for random vectors"),
    "hit_rate_at_10": ("Hit rate", "share of sequences whose held-out last item is among the 10 nearest to the others"),
    "hit_rate_at_10_popular": ("Hit rate of popular items", "the same with the 10 most frequent other items"),
    "hit_rate_at_10_random": ("Hit rate by chance", "the same with 10 random items"),
    "encoder_overlap": ("Neighbours shared with the encoder", "mean share of nearest words in common, before joining"),
    "encoder_overlap_random": ("Neighbours shared with the encoder by chance", "the same for random vectors"),
    "encoder_rbo": ("Neighbours and their order shared with the encoder", "rank-biased overlap, before joining"),
    "encoder_rbo_random": ("Neighbours and order shared with the encoder by chance", "the same for random vectors"),
    "stability_overlap": (
        "Neighbours kept",
        "mean share of nearest words in common with the previous release. High: few neighbours change for readers. It "
        "says nothing about quality; another seed alone changes about a third",
    ),
    "stability_rbo": ("Neighbours and their order kept", "rank-biased overlap with the previous release"),
    "new_words": ("New words", "share of the words that the previous release lacks"),
    "lost_words": ("Lost words", "share of the previous release's words that are gone"),
    "version_cosine": ("Vectors kept", "mean cosine between the vectors of shared words in both releases"),
    "version_cosine_before": ("Vectors kept, as trained", "the same before the vectors were rotated"),
}

# A component of a path. Spaces and apostrophes count between letters: `it's`, `My Texts`.
_PART = r"(?:[^\s/'\"<>]|(?<=[^\s/])[ '](?=[^\s/'\"<>]))+"
# The folders of an absolute path, or of one in a home folder. The lookbehind skips `km/h` and `https://`.
_FOLDERS = re.compile(rf"(?:file://|(?<![\w./~])(?<!:(?=//)))(?:~\w*|[A-Za-z]:)?/+(?:{_PART}/+)+(?=[^\s/'\"<>])")


def without_folders(text: str) -> str:
    """Text with absolute local paths shortened to their last component: `/home/ann/texts/a.txt` to `…/a.txt`."""
    return _FOLDERS.sub("…/", text)


def measure_name(metric: str) -> str:
    """Display name of a metric: `wordsim353` as `WordSim-353`; an unlisted metric keeps its words."""
    if metric.endswith(CHANGE):
        return f"{measure_name(metric.removesuffix(CHANGE))}, change"
    return MEASURES[metric][0] if metric in MEASURES else metric.replace("_", " ")


def measure_meaning(metric: str) -> str:
    """What a metric measures, and what it does and doesn't show; empty if it is not listed."""
    if metric.endswith(CHANGE):
        return (
            "score minus that of the previous release on the same pairs or questions. More than the choice of pairs if "
            "its interval excludes 0; another seed alone can change it, too"
        )
    return MEASURES.get(metric, ("", ""))[1]


def section_name(section: str) -> str:
    """Display name of a section: `gram1-adjective-to-adverb` as `adjective to adverb`."""
    head, dash, rest = section.partition("-")
    named = rest if dash and head.startswith("gram") and head[4:].isdecimal() else section
    return named.replace("-", " ").replace("_", " ")
