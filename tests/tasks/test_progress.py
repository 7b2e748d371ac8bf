"""Progress: what is counted, and how a terminal shows it."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.progress import Progress

from flows.cli.console import BAR, TerminalProgress, _RateColumn, _ShareColumn, _TimeColumn
from tasks.progress import counted, counting, duration_text, listening, rate_text, working_on


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def started(self, what: str, total: int, unit: str) -> None:
        self.events.append((what, total, unit))

    def advanced(self, done: int) -> None:
        self.events.append((done,))

    def finished(self) -> None:
        self.events.append(("finished",))


def test_items_are_counted_in_their_unit_and_never_beyond_the_expected_total() -> None:
    recorder = Recorder()
    with listening(recorder):
        shown = counted(["one", "three"], len, "reading", 6, "letters")
    # Consumed where another listener, or none, is in the context.
    assert list(shown) == ["one", "three"]
    assert recorder.events == [("reading", 6, "letters"), (3,), (6,), ("finished",)]


def test_work_that_fails_is_finished_too() -> None:
    recorder = Recorder()

    def failing() -> Iterator[str]:
        yield "one"
        raise OSError("disk full")

    with listening(recorder), pytest.raises(OSError, match="disk full"), working_on("a stage"):
        list(counted(failing(), len, "reading", 10, "letters"))
    assert recorder.events == [("a stage", 0, ""), ("reading", 10, "letters"), (3,), ("finished",), ("finished",)]


def test_the_terminal_shows_the_innermost_work_then_the_one_around_it() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bar = Progress(BAR, _ShareColumn(), _RateColumn(), _TimeColumn(), console=console, auto_refresh=False)
    with listening(TerminalProgress(bar)):
        with working_on("evaluate vectors"):
            with counting("analogies", 100, "questions") as advanced:
                advanced(50)
                assert [(task.description, task.visible) for task in bar.tasks] == [
                    ("evaluate vectors", False), ("analogies", True),
                ]  # fmt: skip
                assert _ShareColumn().render(bar.tasks[1]).plain.strip() == "50 %"
            assert [(task.description, task.visible) for task in bar.tasks] == [("evaluate vectors", True)]
            assert _TimeColumn().render(bar.tasks[0]).plain.endswith(" so far")
        assert bar.tasks == []
    assert "red" not in f"{BAR.complete_style} {BAR.style} {BAR.pulse_style}"


@pytest.mark.parametrize(
    ("speed", "unit", "text"),
    [(1_730_000, "words", "1.73 M words/s"), (12_345, "tokens", "12 k tokens/s"), (8_100_000, "bytes", "8.1 MB/s"),
     (3.2, "epochs", "3 epochs/s")],
)  # fmt: skip
def test_speeds_are_written_for_people(speed: float, unit: str, text: str) -> None:
    assert rate_text(speed, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
