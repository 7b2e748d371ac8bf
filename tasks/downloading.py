"""Download a corpus before it is read."""

from pathlib import Path

from storage.corpus.downloads import fetch
from storage.corpus.object_stores import fetch_objects, is_object_address
from storage.layout import Workspace
from tasks.corpus_config import CorpusConfig
from tasks.pipeline_task import pipeline_task
from tasks.progress import progress_listener


@pipeline_task("download corpus")
def download_corpus(config: CorpusConfig, workspace: Workspace) -> Path | None:
    """The downloaded file of a corpus with an address; None for a local corpus, which needs no download.

    Resumes what an earlier run left, and asks the server whether a complete file changed. Raises as `fetch`.
    """
    download = config.download
    if download is None:
        return None
    progress = progress_listener()
    is_shown = False

    def advanced(done: int, total: int | None) -> None:
        nonlocal is_shown
        if total and not is_shown:
            progress.started(f"downloading {download.shown}", total, "bytes")
            is_shown = True
        if is_shown:
            progress.advanced(done)

    try:
        if is_object_address(download.address):
            return fetch_objects(download, workspace, advanced)
        return fetch(download, workspace, advanced)
    finally:
        if is_shown:
            progress.finished()
