"""Vectors that gensim-data keeps for everybody, such as word2vec-google-news-300: fetched once, read from then on."""

import logging
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

from storage.errors import DownloadError, ReferenceVectorsError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def fetch_gensim_vectors(name: str) -> Path:
    """The file of a set of vectors; downloaded, if need be, into `$GENSIM_DATA_DIR`, else `~/gensim-data`.

    Raises ReferenceVectorsError that names those there are for an unknown name, DownloadError if it cannot be fetched.
    """
    # Deferred: only who asks for it waits for it.
    import gensim.downloader

    folder = Path(gensim.downloader.BASE_DIR)
    if not NAME.fullmatch(name):
        raise ReferenceVectorsError(f"gensim:{name} names no vectors: write gensim:NAME, as in gensim:glove-twitter-25")
    kept = folder / name / f"{name}.gz"
    if kept.is_file():
        return kept
    # Without a network it logs a traceback, and then raises what is reported here.
    logging.getLogger("gensim.downloader").setLevel(logging.CRITICAL)
    try:
        # It draws its progress on stdout, where programs read JSON.
        with redirect_stdout(sys.stderr):
            known = list(gensim.downloader.info()["models"])
            if name in known:
                return Path(gensim.downloader.load(name, return_path=True))
    except Exception as error:  # a checksum that is wrong is a bare Exception
        raise DownloadError(
            f"gensim:{name} cannot be fetched into {folder}: {error}; check the network, or put the file at {kept}"
        ) from error
    raise ReferenceVectorsError(f"gensim-data has no vectors {name}; it has {', '.join(sorted(known))}")
