"""The source files that a release was trained on."""

import logging
from collections.abc import Mapping
from typing import Any

from storage.layout import Workspace
from storage.releases.records import Release
from storage.stages import Manifest, StageFacts, read_manifest

logger = logging.getLogger(__name__)

# Settings that do not change how a file is read. Those that a stage of an earlier version lacks had no effect then.
IRRELEVANT = frozenset({"on_bad_file"})


def seen_files(workspace: Workspace, release: Release, corpus_config: Mapping[str, Any]) -> dict[str, str]:
    """Name -> sha256 of the source files of a release.

    corpus_config: settings of the corpus stage that must be the same; with others, a file is another text.
    Empty, with a warning, if these differ or the stage is no longer in the workspace.
    """
    manifest = read_manifest(workspace.stage_folder("corpora", release.corpus_digest), StageFacts)
    if manifest is None:
        logger.warning(
            "the files that %s was trained on are unknown: its corpus is not in the workspace", _named(release)
        )
        return {}
    if any(corpus_config.get(name) != value for name, value in manifest.config.items() if name not in IRRELEVANT):
        logger.warning("%s read its files with other corpus settings", _named(release))
        return {}
    return manifest.inputs


def grew_from(workspace: Workspace, release: Release, corpus: Manifest[Any]) -> bool:
    """Whether a corpus is the one of a release, or still holds most of its files; then the models are comparable."""
    if corpus.digest == release.corpus_digest:
        return True
    seen = set(seen_files(workspace, release, corpus.config).values())
    return bool(seen) and 2 * len(seen & set(corpus.inputs.values())) > len(seen)


def _named(release: Release) -> str:
    return f"{release.table} version {release.version}"
