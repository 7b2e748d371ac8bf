"""`vecmill report`, `vecmill explore`, `vecmill gallery` and `vecmill plot`: HTML pages and plots of releases."""

import re
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from flows.cli.completion import offer_releases
from flows.cli.console import messages, output, shown_progress
from flows.cli.help_panels import PICTURES
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, picture_format, print_json
from flows.cli.printable import printable
from storage.errors import SettingsError
from storage.layout import resolve_workspace
from storage.named_paths import check_allowed

if TYPE_CHECKING:
    from storage.releases.records import Release

MOST_PLOTTED = 500

VersionOption = Annotated[
    str | None,
    typer.Option(
        "--version", help="a kept version, tag or candidate prefix; default: the current release",
        autocompletion=offer_releases,
    ),
]  # fmt: skip
MapWordsOption = Annotated[
    int, typer.Option(min=1, max=20_000, help="number of most frequent words that the map lays out")
]
MethodOption = Annotated[Literal["tsne", "pca"], typer.Option("--method", help="projection to two dimensions")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (report, explore, gallery, plot):
        app.command(rich_help_panel=PICTURES)(command)


def report(
    table: TableArgument,
    version: VersionOption = None,
    open_browser: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="output file; default: next to the release")
    ] = None,
    map_words: MapWordsOption = 5000,
    method: MethodOption = "tsne",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a release as one self-contained HTML file.

    Example: vecmill report movie-reviews --open
    """
    from storage.releases.history import choose_release
    from tasks.release_report import ReportConfig, make_report, render_release

    resolved_workspace = resolve_workspace(workspace)
    release = choose_release(resolved_workspace, table, version)
    config = ReportConfig(map_words=map_words, map_method=method)
    inputs = (release, config, resolved_workspace)
    path = _written(target, lambda: make_report(*inputs), lambda: render_release(*inputs))
    _show_page(release, path, as_json)
    _open(path, open_browser)


def explore(
    table: TableArgument,
    version: VersionOption = None,
    words: Annotated[int, typer.Option(min=1, help="number of most frequent words")] = 400_000,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="open it in a browser")] = True,
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="output file; default: in the workspace, replaced each time")
    ] = None,
    map_words: MapWordsOption = 5000,
    method: MethodOption = "tsne",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explore all words of a release in a browser: the explorer of its report, which has 20,000.

    Example: vecmill explore movie-reviews
    """
    from storage.releases.history import choose_release
    from tasks.release_report import ReportConfig, make_explorer, render_explorer

    resolved_workspace = resolve_workspace(workspace)
    release = choose_release(resolved_workspace, table, version)
    config = ReportConfig(map_words=map_words, map_method=method)
    inputs = (release, words, config, resolved_workspace)
    path = _written(target, lambda: make_explorer(*inputs), lambda: render_explorer(*inputs))
    _show_page(release, path, as_json)
    _open(path, open_browser)


def _written(target: Path | None, make: Callable[[], Path], render: Callable[[], str]) -> Path:
    """Write a page to its default path with `make`, or what `render` returns to the file that the user chose."""
    from storage.output_files import new_output

    with shown_progress():
        if target is None:
            return make()
        path = target.expanduser().absolute()
        with new_output(path, force=True) as written:
            written.write_text(render(), encoding="utf-8")
        return path


def _show_page(release: "Release", path: Path, as_json: bool) -> None:
    size = path.stat().st_size
    if as_json:
        print_json({"table": release.table, "version": release.row.version, "path": str(path), "size": size})
    else:
        output.print(f"{escape(printable(str(path)))} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)


def gallery(
    open_browser: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="output file; default: gallery.html in the workspace")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an index page over all tables and releases of a workspace, with verdicts, trends and links to reports.

    Example: vecmill gallery --open
    """
    from tasks.gallery import write_gallery

    resolved_workspace = resolve_workspace(workspace)
    path = resolved_workspace.gallery_file if target is None else target.expanduser().absolute()
    tables = write_gallery(resolved_workspace, path)
    if as_json:
        print_json({"path": str(path), "tables": tables})
    else:
        output.print(
            f"{escape(printable(str(path)))} ({tables} {'table' if tables == 1 else 'tables'})",
            highlight=False,
            soft_wrap=True,
        )
    _open(path, open_browser)


def _open(path: Path, asked: bool) -> None:
    if asked and not webbrowser.open(path.as_uri()):
        messages.print("could not start a browser; open the file above manually")


def plot(
    table: TableArgument,
    words: Annotated[
        list[str] | None, typer.Option("--words", help="words to show, separated by commas or spaces; repeatable")
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--groups", help="'NAME: word, word', drawn in one colour, or a file of such lines; repeatable"),
    ] = None,
    curves: Annotated[bool, typer.Option("--curves", help="plot the learning curves instead of words")] = False,
    trend: Annotated[bool, typer.Option("--trend", help="plot the scores of all kept releases by version")] = False,
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="output file, .png or .svg; default: TABLE.png in the current folder"),
    ] = None,
    method: MethodOption = "tsne",
    neighbors: Annotated[int, typer.Option(min=0, max=50, help="number of nearest words to add for each word")] = 0,
    version: VersionOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plot words of a table on a labelled map, its learning curves or the trend of its scores, as PNG or SVG.

    Example: vecmill plot movie-reviews --groups "praise: good, great" --groups "blame: bad, awful" -o words.svg
    """
    from storage.output_files import new_output
    from storage.releases.history import choose_release
    from tasks.plotting import Plot, plot_training, plot_trend, plot_words

    path = (target or Path(f"{table}.png")).expanduser().absolute()
    picture_form = picture_format(path)
    named_groups = {} if curves or trend else _read_groups(groups or [])
    asked = [] if curves or trend else _split_words(words or [], named_groups)
    release = choose_release(resolve_workspace(workspace), table, version)
    if trend:
        from storage.releases.listing import list_releases

        try:
            drawn = Plot(plot_trend(table, list_releases(resolve_workspace(workspace), table), picture_form), 0, [])
        except ValueError as error:
            raise SettingsError(str(error)) from error
    elif curves:
        if not release.training:
            raise SettingsError(f"{table} has no learning curves: its vectors were imported; use --words")
        drawn = Plot(plot_training(release, picture_form), 0, [])
    else:
        drawn = plot_words(release, asked, method, picture_form, neighbors, named_groups)
    with new_output(path, force=True) as written:
        written.write_bytes(drawn.picture)
    if as_json:
        print_json({"table": table, "path": str(path), "words": drawn.words, "unknown": drawn.unknown})
        return
    if drawn.unknown:
        messages.print(f"not in {table}: {escape(printable(', '.join(drawn.unknown)))}", highlight=False)
    output.print(f"{escape(printable(str(path)))} ({len(drawn.picture) / 1e3:.0f} kB)", highlight=False, soft_wrap=True)


def _read_groups(options: list[str]) -> dict[str, list[str]]:
    """Name -> words of all `--groups` options, each a line `NAME: words` or a file of such lines."""
    groups: dict[str, list[str]] = {}
    for option in options:
        for line in _group_lines(option):
            name, colon, text = line.partition(":")
            words = _words_of(text)
            if not colon or not name.strip() or not words:
                raise SettingsError(
                    f"--groups {line.strip()[:80]!r} is neither 'NAME: word, word' nor a file of such lines"
                )
            groups.setdefault(name.strip(), []).extend(words)
    return groups


def _group_lines(option: str) -> list[str]:
    path = Path(option).expanduser()
    try:
        if not path.is_file():
            return [option]
        check_allowed([path], "--groups")
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(f"--groups: {path} is not valid UTF-8: {error.reason} at byte {error.start}") from error
    except (OSError, ValueError):
        # Too long for a path, so it is not a file.
        return [option]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _split_words(options: list[str], groups: dict[str, list[str]]) -> list[str]:
    """Words of all `--words` options."""
    words = [word for option in options for word in _words_of(option)]
    count = len(words) + sum(map(len, groups.values()))
    if not count:
        raise SettingsError("no words to plot; use --words 'king, queen, man, woman', --groups, --curves or --trend")
    if count > MOST_PLOTTED:
        raise SettingsError(f"{count} words are too many for a readable plot; use at most {MOST_PLOTTED}")
    return words


def _words_of(text: str) -> list[str]:
    """Words separated by commas or spaces; between commas a word may contain spaces."""
    return [word for word in (re.split(r"\s*,\s*", text.strip()) if "," in text else text.split()) if word]
