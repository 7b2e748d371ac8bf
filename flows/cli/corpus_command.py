"""`vecmill corpus`: describe the text of a deployment or file before training on it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.completion import offer_deployments
from flows.cli.console import messages, output, print_table, shown_progress
from flows.cli.help_panels import BUILD
from flows.cli.options import JsonOption, ProjectOption, SetOption, WorkspaceOption, print_json
from flows.cli.printable import printable
from storage.layout import resolve_workspace

if TYPE_CHECKING:
    from flows.deployments import BuildParameters
    from tasks.corpus_profile import CorpusProfile

# The deployment whose settings apply to a file.
FOR_FILES = "adhoc"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=BUILD)(corpus)


def corpus(
    name: Annotated[str, typer.Argument(help="a deployment, file, folder or glob", autocompletion=offer_deployments)],
    settings: SetOption = None,
    workspace: WorkspaceOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a corpus: size, words, scripts, duplicates, and what looks wrong with the text.

    Example: vecmill corpus reviews.txt
    """
    from tasks.corpus_profile import describe_corpus

    parameters = _parameters(name, settings or [])
    with shown_progress():
        profile = describe_corpus(parameters.corpus, parameters.tokenizer, resolve_workspace(workspace))
    if as_json:
        print_json(profile.model_dump(mode="json"))
    else:
        _show(profile)


def _parameters(name: str, settings: list[str]) -> "BuildParameters":
    """The settings of a deployment; for any other name, those of `adhoc` with the name as corpus.path."""
    from flows.deployments import PREFECT_YAML, build_parameters, check_paths, read_deployments

    known = read_deployments()
    if name in known:
        parameters = build_parameters(known[name], settings)
    else:
        # A project's own file need not have it.
        for_files = known.get(FOR_FILES) or read_deployments(PREFECT_YAML)[FOR_FILES]
        parameters = build_parameters(for_files, [f"corpus.path={name}", *settings])
    check_paths(parameters)
    return parameters


def _show(profile: "CorpusProfile") -> None:
    from flows.cli.table_views import plain_table, shown

    output.print(escape(printable(profile.source)), highlight=False)
    figures = plain_table("measure", "value")
    for label, value in (
        ("text", f"{profile.text_bytes / 1e6:,.1f} MB in {profile.files:,} file{'s' if profile.files != 1 else ''}"),
        ("documents", f"{profile.documents:,}, {profile.duplicate_documents:,} of them repeat an earlier one"),
        ("tokens", f"{profile.tokens:,}"),
        ("distinct words", f"{profile.distinct_words:,}, {profile.words_seen_once:,} of them seen once"),
        ("scripts", ", ".join(f"{script} {share:.1%}" for script, share in profile.scripts.items() if share >= 0.0005)),
        ("most frequent", ", ".join(f"{word} {count:,}" for word, count in list(profile.top_words.items())[:10])),
        ("rarest", ", ".join(list(profile.rarest_words)[:10])),
    ):
        figures.add_row(label, shown(value))
    print_table(figures)
    for line, count in profile.repeated_lines.items():
        messages.print(f"{count:,} documents have the line {printable(line)!r}", markup=False, highlight=False)
    for warning in profile.warnings:
        messages.print(f"[yellow]warning:[/] {escape(printable(warning))}", highlight=False)
