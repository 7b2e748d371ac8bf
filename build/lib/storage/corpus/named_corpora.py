"""Public corpora by name: where they are, in which form, and under which licence."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from storage.corpus.downloads import Download
from storage.corpus.source_files import SourceFile
from storage.corpus.source_forms import SourceFormat
from storage.errors import CorpusError

# `<mirror>/<name>/<file>` instead of the addresses below.
MIRROR_VARIABLE = "VECMILL_CORPORA_MIRROR"
LANGUAGE = re.compile(r"[a-z][a-z_-]{1,30}")
WIKIPEDIA = "wikipedia/"


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus with a fixed address.

    digest: of the file at the address, such as `md5:…`, None if unknown or changing.  members: patterns of the files
    to read in an archive.  markup: replaced by a space in every document.
    """

    name: str
    address: str
    description: str
    licence: str
    digest: str | None = None
    members: tuple[str, ...] = ("*",)
    source_format: SourceFormat = "auto"
    markup: str = ""

    @property
    def file(self) -> str:
        """Name of the file at the address."""
        return self.address.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """Folder below `downloads/`."""
        return self.name.replace("/", "-")

    def download(self, sha256: str | None, most_bytes: int, *, keep_changes: bool) -> Download:
        """What to fetch, from VECMILL_CORPORA_MIRROR if it is set. sha256: expected instead of the known digest."""
        mirror = os.environ.get(MIRROR_VARIABLE)
        address = f"{mirror.rstrip('/')}/{self.name}/{self.file}" if mirror else self.address
        digest = f"sha256:{sha256}" if sha256 else self.digest
        return Download(address, self.folder, self.file, digest, keep_changes, most_bytes)

    def chosen(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """The files with the text. Raises CorpusError if none matches."""
        chosen = [file for file in files if any(fnmatchcase(file.name, pattern) for pattern in self.members)]
        if not chosen:
            raise CorpusError(
                f"{self.file} of the corpus {self.name} contains no {' or '.join(self.members)}; "
                f"fetch {self.address} again"
            )
        return chosen


CORPORA = {
    corpus.name: corpus
    for corpus in (
        NamedCorpus(
            "text8",
            "http://mattmahoney.net/dc/text8.zip",
            "100 MB of English Wikipedia of 2006, lower case a to z, one line",
            "CC BY-SA (Wikipedia)",
        ),
        NamedCorpus(
            "enwik9",
            "http://mattmahoney.net/dc/enwik9.zip",
            "the first 1 GB of the English Wikipedia dump of 2006, MediaWiki XML",
            "CC BY-SA (Wikipedia)",
        ),
        NamedCorpus(
            "ptb",
            "http://d2l-data.s3-accelerate.amazonaws.com/ptb.zip",
            "Penn Treebank, training part, as in Dive into Deep Learning: 42,000 sentences of the Wall Street Journal",
            "LDC user agreement: research only",
            digest="sha1:319d85e578af0cdc590547f26231e4e31cdf1e42",
            members=("*ptb.train.txt",),
            source_format="text",
        ),
        NamedCorpus(
            "wikitext-2",
            "https://wikitext.smerity.com/wikitext-2-v1.zip",
            "2 million tokens of good and featured English Wikipedia articles",
            "CC BY-SA 3.0 (Wikipedia)",
            digest="md5:542ccefacc6c27f945fb54453812b3cd",
            members=("*wiki.train.tokens",),
            source_format="text",
        ),
        NamedCorpus(
            "wikitext-103",
            "https://wikitext.smerity.com/wikitext-103-v1.zip",
            "103 million tokens of good and featured English Wikipedia articles",
            "CC BY-SA 3.0 (Wikipedia)",
            digest="md5:9ddaacaf6af0710eda8c456decff7832",
            members=("*wiki.train.tokens",),
            source_format="text",
        ),
        NamedCorpus(
            "imdb",
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "100,000 film reviews, half of them labelled, one file each",
            "not stated; the reviews are their authors' own (Maas et al. 2011)",
            digest="md5:7c2ac02c03563afcf9b574c7e56c153a",
            members=("*/train/[!.]*/*.txt", "*/test/[!.]*/*.txt"),
            source_format="text",
            markup="<br />",
        ),
        NamedCorpus(
            "ag-news",
            "https://huggingface.co/datasets/fancyzhx/ag_news/resolve/main/data/train-00000-of-00001.parquet",
            "120,000 titles and summaries of news in four topics",
            "not stated: for non-commercial research (AG's corpus of news articles)",
            source_format="parquet",
        ),
        NamedCorpus(
            "news-1b",
            "http://www.statmt.org/lm-benchmark/1-billion-word-language-modeling-benchmark-r13output.tar.gz",
            "One Billion Word Benchmark: shuffled sentences of English news of 2011, training part",
            "not stated: for research (Chelba et al. 2013)",
            members=("*/training-monolingual.tokenized.shuffled/news.en-*",),
            source_format="text",
        ),
        NamedCorpus(
            "korean-wikipedia",
            "https://dumps.wikimedia.org/kowiki/latest/kowiki-latest-pages-articles-multistream.xml.bz2",
            "articles of the Korean Wikipedia, latest dump",
            "CC BY-SA 4.0 (Wikipedia)",
        ),
        NamedCorpus(
            "wikipedia/<language>",
            "https://dumps.wikimedia.org/<language>wiki/latest/<language>wiki-latest-pages-articles-multistream.xml.bz2",
            "articles of the Wikipedia in a language such as wikipedia/de, latest dump",
            "CC BY-SA 4.0 (Wikipedia)",
        ),
    )
}


def named_corpus(name: str) -> NamedCorpus:
    """A corpus by name. Raises CorpusError that lists the known names."""
    language = name.removeprefix(WIKIPEDIA)
    if name.startswith(WIKIPEDIA) and LANGUAGE.fullmatch(language):
        pattern = CORPORA["wikipedia/<language>"]
        code = language.replace("-", "_")
        return replace(pattern, name=name, address=pattern.address.replace("<language>", code))
    if name not in CORPORA or "<" in name:
        raise CorpusError(f"corpus.name={name!r} is unknown; the corpora are {', '.join(CORPORA)}")
    return CORPORA[name]
