"""Detect text that is new since the current release of a table, and decide what to train on."""

import logging
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from storage.layout import Workspace
from storage.releases.records import Release
from storage.releases.seen_files import seen_files
from storage.stages import Manifest
from tasks.corpus import CorpusFacts, corpus_stage
from tasks.corpus_config import CorpusConfig
from tasks.pipeline_task import pipeline_task

logger = logging.getLogger(__name__)

SHOWN_NAMES = 5


class Arrivals(BaseModel):
    """How the files of a corpus differ from those that a release was trained on.

    version: of that release, None before the first one, when all files are new.  files: number of files.
    new, changed, gone: file names. A file that was only renamed or copied is in none of them.
    skipped: name of each unreadable file -> the reason; filled once the corpus is fetched.
    left_out: reason -> rows or pages that are not documents; filled then too.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    version: int | None
    files: int
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    train_on: Literal["all", "all_if_changed", "new"]
    skipped: dict[str, str] = {}
    left_out: dict[str, int] = {}

    @property
    def unseen(self) -> tuple[str, ...]:
        """The files with text that the release was not trained on."""
        return tuple(sorted({*self.new, *self.changed}))

    @property
    def nothing_to_do(self) -> bool:
        """Whether `train_on` skips training because no file is new."""
        match self.train_on:
            case "all":
                return False
            case "all_if_changed":
                return not (self.unseen or self.gone)
            case "new":
                return not self.unseen

    @property
    def only(self) -> tuple[str, ...] | None:
        """Names of the files to train on, None for all."""
        return self.unseen if self.train_on == "new" and len(self.unseen) < self.files else None

    def once_read(self, corpus: Manifest[CorpusFacts]) -> Self:
        """A copy with the files that turned out to be unreadable, and the numbers of rows left out."""
        facts = corpus.facts
        return self.model_copy(update={"skipped": facts.skipped_files, "left_out": facts.left_out})

    def __str__(self) -> str:
        files = f"{self.files:,} file{'' if self.files == 1 else 's'}"
        if self.version is None:
            summary = f"{files} of text; {self.table} has no release yet"
        else:
            counts = (f"{len(self.new):,} new", f"{len(self.changed):,} changed", f"{len(self.gone):,} gone")
            summary = f"{files}: {', '.join(counts)} since version {self.version} of {self.table}"
        for reason, number in self.left_out.items():
            summary += f"; left out {number:,} {reason}"
        if not self.skipped:
            return summary
        names = ", ".join(list(self.skipped)[:SHOWN_NAMES]) + (", …" if len(self.skipped) > SHOWN_NAMES else "")
        return f"{summary}; {len(self.skipped):,} unreadable and skipped: {names}"


def find_arrivals(config: CorpusConfig, table: str, release: Release | None, workspace: Workspace) -> Arrivals:
    """Compare the files of a corpus, by content, with those that the current release of a table was trained on.

    release: the current release, None if the table has none yet.
    """
    stage = corpus_stage(config, workspace)
    seen = seen_files(workspace, release, stage.config) if release else {}
    texts, seen_texts = set(stage.inputs.values()), set(seen.values())
    # Dicts keep the order of the corpus, with fast lookups.
    unseen = {name: sha256 for name, sha256 in stage.inputs.items() if sha256 not in seen_texts}
    lost = {name: sha256 for name, sha256 in seen.items() if sha256 not in texts}
    return Arrivals(
        table=table,
        version=release.version if release else None,
        files=len(stage.inputs),
        new=tuple(name for name in unseen if name not in lost),
        changed=tuple(name for name in unseen if name in lost),
        gone=tuple(name for name in lost if name not in unseen),
        train_on=config.train_on,
    )


@pipeline_task("look for new text")
def look_for_new_text(config: CorpusConfig, table: str, release: Release | None, workspace: Workspace) -> Arrivals:
    """Log and return which files are new, changed or gone since the current release of the table."""
    arrivals = find_arrivals(config, table, release, workspace)
    logger.info("%s", arrivals)
    for what, names in (("changed", arrivals.changed), ("gone", arrivals.gone)):
        if names:
            logger.info("%s: %s%s", what, ", ".join(names[:5]), f" and {len(names) - 5:,} more" if names[5:] else "")
    return arrivals
