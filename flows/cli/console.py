"""Terminal output of the command: log lines, progress bar and tables."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from flows.cli.printable import printable
from storage.redaction import RedactingFilter
from tasks.progress import duration_text, listening, rate_text

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


# The bar of Rich is red until it is full, which looks like an error.
BAR = BarColumn(style="bright_black", complete_style="cyan", finished_style="green", pulse_style="cyan")


class _ShareColumn(ProgressColumn):
    """The share that is done, e.g. 42 %; empty for work of unknown length."""

    def render(self, task: Task) -> Text:
        """The share so far."""
        return Text(f"{task.percentage:>3.0f} %" if task.total else "")


class _RateColumn(ProgressColumn):
    """Units per second, e.g. 3.1 M words/s."""

    def render(self, task: Task) -> Text:
        """The rate so far; empty until there is one."""
        return Text(rate_text(task.speed, task.fields["unit"]) if task.speed else "", style="cyan")


class _TimeColumn(ProgressColumn):
    """The time left, or the time so far for work of unknown length."""

    def render(self, task: Task) -> Text:
        """Minutes and seconds."""
        if not task.total:
            return Text(f"{duration_text(task.elapsed or 0)} so far", style="dim")
        return Text("" if task.time_remaining is None else f"{duration_text(task.time_remaining)} left", style="cyan")


class TerminalProgress:
    """A rich progress bar for the current long operation; one inside another replaces it until it has finished."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._running: list[TaskID] = []

    def started(self, what: str, total: int, unit: str) -> None:
        """Show a bar."""
        if self._running:
            self._progress.update(self._running[-1], visible=False)
        self._running.append(self._progress.add_task(what, total=total or None, unit=unit))

    def advanced(self, done: int) -> None:
        """Move the bar."""
        if self._running:
            self._progress.update(self._running[-1], completed=done)

    def finished(self) -> None:
        """Remove the bar, and show the one around it."""
        if self._running:
            self._progress.remove_task(self._running.pop())
        if self._running:
            self._progress.update(self._running[-1], visible=True)


def _escape_controls(record: logging.LogRecord) -> bool:
    """A filter: names and paths in log lines may contain control sequences, which must not reach a terminal."""
    record.msg, record.args = printable(record.getMessage(), keep_lines=True), None
    return True


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
    handler.addFilter(_escape_controls)
    for name in VECMILL_LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
        # Prefect's console handler is attached to the root logger and would print every line twice.
        logging.getLogger(name).propagate = False
    columns = (
        TextColumn("{task.description}"),
        BAR,
        _ShareColumn(),
        _RateColumn(),
        _TimeColumn(),
    )
    try:
        bar = Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
        with bar, listening(TerminalProgress(bar)):
            yield
    finally:
        for name in VECMILL_LOGGERS:
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).propagate = True
