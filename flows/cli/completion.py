"""Shell completion of deployments, settings, tables, versions and candidates. Errors yield no completions."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import typer

from flows.deployment_file import deployment_names
from storage.errors import VecmillError
from storage.layout import TABLE_NAME, Workspace, resolve_workspace


def offer_deployments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete deployment names."""
    return [name for name in deployment_names() if name.startswith(incomplete)]


def offer_tables(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete table names, including tables that only have refused candidates."""
    root = _workspace(ctx).tables_root
    names = sorted(folder.name for folder in root.iterdir()) if root.is_dir() else []
    return [name for name in names if TABLE_NAME.fullmatch(name) and name.startswith(incomplete)]


def offer_versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete kept versions of the table on the command line, highest first, then tags."""
    return [version for version in [*reversed(_versions(ctx)), *_tags(ctx)] if version.startswith(incomplete)]


def offer_candidates(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete refused candidates of the table on the command line."""
    return [digest for digest in _candidates(ctx) if digest.startswith(incomplete)]


def offer_releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete versions and candidates."""
    return [*offer_versions(ctx, incomplete), *offer_candidates(ctx, incomplete)]


def offer_settings(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Complete `section.field=value` with the description of each: sections, fields, then their possible values."""
    # Deferred: the settings of all stages take a second to import.
    from flows.cli.setting_values import known_settings, values_of

    name, equals, _ = incomplete.partition("=")
    settings = known_settings()
    if equals:
        return [(f"{name}={value}", "") for value in values_of(name, settings, _workspace(ctx))]
    found = {path: text for path, text in settings.items() if path.startswith(name)}
    if len({path.partition(".")[0] for path in found}) > 1:
        return [(f"{section}.", "") for section in dict.fromkeys(path.partition(".")[0] for path in found)]
    offered = [(f"{path}=", setting.description) for path, setting in found.items()]
    if len(found) == 1:
        # With a second completion the shell adds no space after the first.
        (path,) = found
        offered += [(f"{path}={value}", "") for value in values_of(path, settings, _workspace(ctx))]
    return offered


@contextmanager
def assignments_in_bash() -> Iterator[None]:
    """Let Bash complete `section.field=value`, which it splits into three words, inside the block."""
    if os.environ.get("_VECMILL_COMPLETE") != "complete_bash":
        yield
        return
    words = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    joined = _joined(words)
    os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        # Bash completes only what follows the `=`.
        name = f"{joined[-1].partition('=')[0]}=" if joined[-1] != words[-1] else ""
        for line in printed.getvalue().splitlines():
            typer.echo(line.removeprefix(name))


def _joined(words: list[str]) -> list[str]:
    """Words as typed, with `a`, `=`, `b` as one."""
    joined: list[str] = []
    after_equals = False
    for word in words:
        if joined and (word == "=" or after_equals):
            joined[-1] += word
        else:
            joined.append(word)
        after_equals = word == "="
    return joined


def _workspace(ctx: typer.Context) -> Workspace:
    chosen = ctx.params.get("workspace")
    return resolve_workspace(Path(chosen) if chosen else None)


def _versions(ctx: typer.Context) -> list[str]:
    # Deferred: DuckDB takes a quarter of a second to import.
    from storage.releases.ledger import kept_versions

    try:
        return [str(version) for version in kept_versions(_workspace(ctx), str(ctx.params.get("table")))]
    except (VecmillError, OSError):
        return []


def _tags(ctx: typer.Context) -> list[str]:
    from storage.releases.tags import read_tags

    try:
        return list(read_tags(_workspace(ctx), str(ctx.params.get("table"))))
    except (VecmillError, OSError):
        return []


def _candidates(ctx: typer.Context) -> list[str]:
    try:
        folder = _workspace(ctx).candidates_folder(str(ctx.params.get("table")))
        return sorted(path.stem for path in folder.glob("*.duckdb"))
    except (VecmillError, OSError):
        return []
