"""What the shell offers after Tab: deployments, tables, versions and candidates. Whatever goes wrong offers nothing."""

from collections.abc import Callable
from pathlib import Path

import typer

from flows.deployment_file import deployment_names
from storage.errors import VecmillError
from storage.layout import TABLE_NAME, Workspace, resolve_workspace

Offer = Callable[[typer.Context, str], list[str]]


def offer_deployments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of deployments."""
    return [name for name in deployment_names() if name.startswith(incomplete)]


def offer_tables(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tables of the workspace, those with refused candidates alone too."""
    root = _workspace(ctx).tables_root
    names = sorted(folder.name for folder in root.iterdir()) if root.is_dir() else []
    return [name for name in names if TABLE_NAME.fullmatch(name) and name.startswith(incomplete)]


def offer_versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Kept versions of the table that was named before, the highest first."""
    return [version for version in reversed(_versions(ctx)) if version.startswith(incomplete)]


def offer_candidates(ctx: typer.Context, incomplete: str) -> list[str]:
    """Refused candidates of the table that was named before."""
    return [digest for digest in _candidates(ctx) if digest.startswith(incomplete)]


def offer_releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Versions and candidates."""
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


def _candidates(ctx: typer.Context) -> list[str]:
    try:
        folder = _workspace(ctx).candidates_folder(str(ctx.params.get("table")))
        return sorted(path.stem for path in folder.glob("*.duckdb"))
    except (VecmillError, OSError):
        return []
