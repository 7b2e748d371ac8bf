"""Parse numbers in gold files: decimal points or commas, with or without thousands separators."""

import math
import re
from collections.abc import Sequence

# Unlike float(), which also takes `1_0`, `nan`, `inf` and the digits of other scripts.
PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER_LIKE = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]+)*[.,]?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
# One group of thousands: `1,234` and `1.234` may also be decimals.
THOUSANDS = {
    ".": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]*)?"),
}


class AmbiguousNumbersError(ValueError):
    """A column of numbers is ambiguous. The message has an example."""


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a number in any of these formats."""
    return NUMBER_LIKE.fullmatch(cell) is not None


def whole_number(cell: str) -> int | None:
    """The value of an integer in ASCII digits, else None."""
    return int(cell) if len(cell) < 20 and WHOLE.fullmatch(cell) else None


def column_numbers(cells: Sequence[str]) -> list[float | None]:
    """The values of a column; None for cells that are not numbers in the format of the majority.

    Raises AmbiguousNumbersError if commas or points may be decimal marks or thousands separators.
    """
    point, comma = ([_number(cell, mark) for cell in cells] for mark in ".,")
    read_point, read_comma = (sum(value is not None for value in values) for values in (point, comma))
    if not any("," in cell for cell in cells if looks_numeric(cell)):
        return point
    mark, values, others = (".", point, comma) if read_point >= read_comma else (",", comma, point)
    thousands_shown = any(
        "." in cell and "," in cell for cell, value in zip(cells, values, strict=True) if value is not None
    )
    decimals_shown = any(value is not None and other is None for value, other in zip(values, others, strict=True))
    for cell, value, other in zip(cells, values, others, strict=True):
        # A lone group of three digits may be decimals or thousands; a clearer number in the column decides.
        if value is None or other is None or value == other:
            continue
        if not (decimals_shown if mark in cell else thousands_shown):
            raise AmbiguousNumbersError(
                f"{cell!r} may mean {value:g} or {other:g}; write decimal points and no thousands separators"
            )
    if mark == "." and read_point == read_comma:
        raise AmbiguousNumbersError("equally many numbers have decimal commas and decimal points; write points")
    return values


def _number(cell: str, mark: str) -> float | None:
    """The value of a cell whose decimal mark is `mark`."""
    text = cell
    if THOUSANDS[mark].fullmatch(text):
        text = text.replace("," if mark == "." else ".", "")
    if mark == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    if len(text) > 400 or not PLAIN.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
