"""Terminal output of the command: log lines, progress bar and tables."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from storage.redaction import RedactingFilter
from tasks.progress import listening

# Results go to stdout; logs and messages go to stderr.
output = Console(soft_wrap=True)
if not output.is_terminal and "COLUMNS" not in os.environ:
    # For a pipe, Rich assumes 80 columns and would truncate tables that fit a pager or a log.
    output.width = 160
messages = Console(stderr=True)

# Narrower text columns would wrap after every word.
NARROWEST_TEXT = 20


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table. Values without spaces, such as numbers, are never truncated or wrapped.

    If the table does not fit even with wrapped text, each row is printed with one field per line.
    """
    console = console or output
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    texts = [[Text.from_markup(cell) for cell in cells] for cells in columns]
    needed = 0
    for column, cells in zip(table.columns, texts, strict=True):
        natural = max((text.cell_len for text in cells), default=0)
        longest_word = max((cell_len(word) for text in cells for word in text.plain.split()), default=0)
        values = [text.plain for text in cells[1:]]
        if column.overflow == "ignore":
            # Long values overflow; the terminal continues them on the next line.
            continue
        column.min_width = longest_word
        if not any(" " in value for value in values):
            column.no_wrap = natural == max(map(cell_len, values), default=0)
            needed += longest_word + 1
        else:
            needed += min(natural, max(longest_word, NARROWEST_TEXT)) + 1
    if needed - 1 <= console.width:
        console.print(table, soft_wrap=False)
        return
    names = max(text[0].cell_len for text in texts)
    for row in range(1, len(texts[0])):
        if row > 1:
            console.print()
        for cells in texts:
            line = cells[row].copy()
            line.pad_left(names + 1 - cells[0].cell_len) if cells[0].cell_len <= names else None
            console.print(Text.assemble(cells[0], line), soft_wrap=True, highlight=False)


VECMILL_LOGGERS = ("flows", "tasks", "storage")


class _RateColumn(ProgressColumn):
    """Units per second, e.g. 3.1 M words/s."""

    def render(self, task: Task) -> Text:
        """The rate so far; empty until there is one."""
        return Text(f"{task.speed / 1e6:.2f} M {task.fields['unit']}/s" if task.speed else "", style="cyan")


class TerminalProgress:
    """A rich progress bar for the current long operation."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", visible=False, total=None, unit="")

    def started(self, what: str, total: int, unit: str) -> None:
        """Show the bar."""
        self._progress.reset(self._task, description=what, total=total, visible=True, unit=unit)

    def advanced(self, done: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done)

    def finished(self) -> None:
        """Hide the bar."""
        self._progress.update(self._task, visible=False)


@contextmanager
def shown_progress() -> Iterator[None]:
    """Log to stderr while a flow runs; on a terminal, show a progress bar below the log."""
    handler: logging.Handler
    if messages.is_terminal:
        handler = RichHandler(console=messages, show_path=False, show_level=False, markup=False, log_time_format="%X")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(RedactingFilter())
    for name in VECMILL_LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
        # Prefect's console handler is attached to the root logger and would print every line twice.
        logging.getLogger(name).propagate = False
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    try:
        bar = Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
        with bar, listening(TerminalProgress(bar)):
            yield
    finally:
        for name in VECMILL_LOGGERS:
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).propagate = True
