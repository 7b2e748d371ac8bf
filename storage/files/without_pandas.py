"""Keep pandas out of commands. DuckDB and PyArrow import it wherever it is installed: .4 s and 45 MB for nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Both import it from compiled code, in whose place Python shows the code that called them: ours.
REFUSED = {"duckdb", "pyarrow", "storage", "tasks", "flows", "vecmill"}
IMPORTING = {"importlib", "_frozen_importlib", "_frozen_importlib_external"}


class _NoPandas:
    """Hide pandas from DuckDB and PyArrow, which then behave as on a machine without it.

    Others may import it: torch._dynamo, which text encoders import, fails if `importlib.util.find_spec` raises.
    """

    def find_spec(self, name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for pandas, and leave all other modules to the next finder."""
        if name == "pandas" and _importer() in REFUSED:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


def _importer() -> str:
    """The package whose code imports something."""
    frame = sys._getframe(2)
    while (package := str(frame.f_globals.get("__name__")).partition(".")[0]) in IMPORTING and frame.f_back:
        frame = frame.f_back
    return package


@contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas, unless it is imported already. PyArrow looks once, and then only when asked for data frames."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
