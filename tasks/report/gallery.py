"""The gallery page: every table of a workspace with its releases, verdicts and trends, as HTML without scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.report.charts import history_path
from tasks.report.page import hash_source, page_environment, read_template

# Metrics of a table that are drawn as trends.
TRENDS = 4


@dataclass(frozen=True)
class ShownRelease:
    """A release or candidate of a table.

    name: `version 3`, or `candidate` and the first letters of its model.  created: date.
    refused_by: metrics of the gates that it failed.  gated: whether it had gates.
    metrics: metric -> value.  report: address of its report relative to the page, None without one.
    """

    name: str
    created: str
    rows: int
    dimension: int
    current: bool
    candidate: bool
    gated: bool
    refused_by: Sequence[str]
    metrics: Mapping[str, float | None]
    report: str | None

    @property
    def verdict(self) -> str:
        """What the gates said."""
        if self.refused_by:
            return "refused" if self.candidate else "published although refused"
        return "passed its gates" if self.gated else "no gates"


@dataclass(frozen=True)
class Trend:
    """A metric over the published releases. path: SVG path data, None for fewer than two values."""

    metric: str
    latest: float
    path: str | None


@dataclass(frozen=True)
class ShownTable:
    """A table and its releases, newest first. source: where its text comes from."""

    name: str
    source: str
    releases: Sequence[ShownRelease]

    @property
    def current(self) -> ShownRelease | None:
        """The release that readers get, None if there is none."""
        return next((release for release in self.releases if release.current), None)

    @property
    def trends(self) -> list[Trend]:
        """The first metrics of the current release, each over all published releases, oldest first."""
        if self.current is None:
            return []
        published = [release for release in reversed(self.releases) if not release.candidate]
        known = [(metric, value) for metric, value in self.current.metrics.items() if value is not None]
        return [
            Trend(metric, value, history_path([release.metrics.get(metric) for release in published]))
            for metric, value in known[:TRENDS]
        ]


def render_gallery(tables: Sequence[ShownTable], workspace: str, created: str) -> str:
    """The page as HTML. workspace: its name.  created: date and time."""
    style = read_template("report.css") + read_template("gallery.css")
    policy = f"default-src 'none'; style-src {hash_source(style)}; base-uri 'none'; form-action 'none'"
    page = page_environment().get_template("gallery.html.jinja")
    return page.render(tables=tables, workspace=workspace, created=created, style=Markup(style), policy=policy)
