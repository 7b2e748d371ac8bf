"""Shell completion of deployments, tables, versions and candidates. Errors yield no completions."""

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
