"""Keep pandas out of commands. DuckDB and PyArrow import it wherever it is installed: .4 s and 45 MB for nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _NoPandas:
    """Refuse to import pandas. DuckDB and PyArrow then behave as on a machine without it."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for pandas, and leave all other modules to the next finder."""
        if name == "pandas":
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas, unless it is imported already. PyArrow looks once, and then only when asked for data frames."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
