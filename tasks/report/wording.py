"""What the measures are called on the page, and one line of what each says."""

# metric -> name, meaning
MEASURES = {
    "wordsim353": ("WordSim-353", "Spearman correlation with people's scores of how related two words are"),
    "simlex999": ("SimLex-999", "Spearman correlation with people's scores of how alike two words are"),
    "men": ("MEN", "Spearman correlation with people's scores of how related two words are"),
    "google_analogies": ("Google analogies", "share of “a is to b as c is to …” answered with the expected word"),
    "google_analogies_3cosmul": ("Google analogies, 3CosMul", "the same by the product of similarities, not their sum"),
    "neighbor_overlap": ("Neighbours shared with the reference", "mean share of nearest words that both give"),
    "neighbor_overlap_random": ("Neighbours shared by chance", "the same for random vectors: what no training gives"),
    "neighbor_rbo": ("Neighbours and their order shared", "rank-biased overlap: the nearest words count most"),
    "neighbor_rbo_random": ("Neighbours and order by chance", "the same for random vectors"),
}


def measure_name(metric: str) -> str:
    """`wordsim353` as `WordSim-353`; a metric that is not listed keeps its own words."""
    return MEASURES[metric][0] if metric in MEASURES else metric.replace("_", " ")


def section_name(section: str) -> str:
    """`gram1-adjective-to-adverb` as `adjective to adverb`."""
    head, dash, rest = section.partition("-")
    named = rest if dash and head.startswith("gram") and head[4:].isdecimal() else section
    return named.replace("-", " ").replace("_", " ")
