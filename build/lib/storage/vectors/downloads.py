"""Vectors from gensim-data, such as word2vec-google-news-300: downloaded once, then cached."""

import logging
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

from storage.errors import DownloadError, ReferenceVectorsError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def fetch_gensim_vectors(name: str) -> Path:
    """The file of a set of vectors, downloaded on first use to `$GENSIM_DATA_DIR`, else `~/gensim-data`.

    Raises ReferenceVectorsError with the known names for an unknown one, DownloadError if the download fails.
    """
    # Deferred: a slow import.
    import gensim.downloader

    folder = Path(gensim.downloader.BASE_DIR)
    if not NAME.fullmatch(name):
        raise ReferenceVectorsError(f"invalid name gensim:{name}: write gensim:NAME, such as gensim:glove-twitter-25")
    kept = folder / name / f"{name}.gz"
    if kept.is_file():
        return kept
    # Without a network it logs a traceback before it raises.
    logging.getLogger("gensim.downloader").setLevel(logging.CRITICAL)
    try:
        # It draws a progress bar on stdout, which must stay valid JSON.
        with redirect_stdout(sys.stderr):
            known = list(gensim.downloader.info()["models"])
            if name in known:
                return Path(gensim.downloader.load(name, return_path=True))
    except Exception as error:  # a wrong checksum is a bare Exception
        raise DownloadError(
            f"gensim:{name} cannot be downloaded to {folder}: {error}; check the network, or copy the file to {kept}"
        ) from error
    raise ReferenceVectorsError(f"gensim-data has no vectors named {name}; it has {', '.join(sorted(known))}")
