"""The report page: one self-contained HTML file that treats every word as data, not markup.

Three measures ensure that: Jinja escapes all text, the words of the explorer are embedded as JSON that cannot close its
script element, and the content security policy allows only the two scripts whose hashes it lists. They set text,
never markup.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from tasks.report.charts import frequency_chart, history_path, loss_chart
from tasks.report.content import Measure, ReportContent
from tasks.report.maps import place_words
from tasks.report.quantization import QuantizedVectors, fit_vectors
from tasks.report.regions import Region
from tasks.report.still import draw_still_map
from tasks.report.wording import measure_meaning, measure_name, section_name

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
VENDOR = HERE / "vendor"
# In loading order: each depends on the ones before it.
LIBRARIES = (
    "d3-dispatch", "d3-timer", "d3-ease", "d3-color", "d3-interpolate", "d3-selection", "d3-drag", "d3-transition",
    "d3-zoom", "d3-quadtree", "twgl",
)  # fmt: skip
SCRIPTS = ("pauses.js", "vectors.js", "panels.js", "points.js", "map.js", "explorer.js")

# 20,000 words of 128 dimensions take 4 MB; above this limit the explorer has fewer words.
MAX_EXPLORER_BYTES = 6_500_000
POSITION_SCALE = 10_000
# Colours of groups in the stylesheet.
COLORS = 10
EXAMPLE_NEIGHBORS = 8


def render_report(content: ReportContent, max_explorer_bytes: int = MAX_EXPLORER_BYTES) -> str:
    """The page as HTML.

    max_explorer_bytes: limit for the words and vectors of the explorer. The least frequent words that do not fit are
    dropped, and the page states how many it contains. The rest of the page is at most a few hundred kB.
    """
    vectors = fit_vectors(content.words, content.vectors, max_explorer_bytes)
    words = list(content.words[: len(vectors.values)])
    positions, groups = _whole_map(content, len(words))
    drift = _drift(content, positions, len(words))
    mapped = min(len(content.word_map.positions), len(words))
    start_script, script, style = read_template("start.js"), _script(), read_template("report.css")
    page = page_environment().get_template("report.html.jinja")
    return page.render(
        report=content,
        explorer_words=len(words),
        map_words=mapped,
        drift=drift is not None,
        still=draw_still_map(
            positions[:mapped], groups[:mapped], words, _regions_of(content, len(words)), _examples(content), COLORS
        ),
        all_words=len(content.all_counts),
        agreement=vectors.agreement,
        bits=vectors.bits,
        minimums={v.metric: v.minimum for v in content.verdicts if v.minimum is not None},
        totals=[measure for measure in content.measures if not measure.section],
        sections=_by_metric(content.measures),
        history={
            one.metric: history_path([values.get(one.metric) for _, values in content.history])
            for one in content.measures
        },
        loss=loss_chart([e.number for e in content.training], [e.mean_loss for e in content.training]),
        frequency=frequency_chart(content.all_counts, content.words),
        data=json_block(_explorer_data(content, words, vectors, positions, groups) | {"drift": drift}),
        vectors=Markup(base64.b64encode(vectors.values.tobytes()).decode("ascii")),
        start_script=Markup(start_script),
        script=Markup(script),
        style=Markup(style),
        policy=_policy([start_script, script], style),
        licences=[_read_vendored(f"LICENSE-{name}.txt") for name in ("d3", "d3-ease", "twgl")],
    )


def json_block(data: object) -> Markup:
    """JSON for a script element, with `<` escaped so that no text can close the element or open another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _whole_map(content: ReportContent, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Positions (count, 2) and groups (count,) of all words: those of the map, and the others by their neighbours."""
    shown, vectors = content.word_map, content.vectors
    laid_out = min(len(shown.positions), count)
    known, positions, groups = vectors[:laid_out], shown.positions[:laid_out], shown.groups[:laid_out]
    placed, hosts = place_words(vectors[laid_out:count], known, positions)
    return np.concatenate([positions, placed]), np.concatenate([groups, groups[hosts]])


def _drift(content: ReportContent, positions: NDArray[np.float32], count: int) -> dict[str, Any] | None:
    """What moved since the previous release, for the explorer; None if the two are not comparable.

    amount: 0 to 100 for each word, a hundredth of 1 minus the cosine of its old and new vector; -1 for a new word.
    words: those whose neighbours changed most, each with the position by its old vector, the share of neighbours kept
    in percent, and the neighbours lost and won.
    """
    if content.earlier is None or content.changes is None:
        return None
    laid_out = min(len(content.word_map.positions), count)
    old, row_of = content.earlier.vectors[:count], {word: row for row, word in enumerate(content.words[:laid_out])}
    cosines = np.einsum("vd,vd->v", old, content.vectors[:count])
    amount = np.where(old.any(axis=1), np.clip(np.rint(100 * (1 - cosines)), 0, 100), -1).astype(int)
    moved = [word for word in content.changes.words if word.word in row_of and amount[row_of[word.word]] >= 0]
    if not moved:
        return None
    rows = np.array([row_of[word.word] for word in moved], dtype=np.int64)
    before, _ = place_words(old[rows], content.vectors[:laid_out], positions[:laid_out], without=rows)
    return {
        "amount": amount.tolist(),
        "words": [
            {
                "row": row,
                "from": np.rint(position * POSITION_SCALE).astype(int).tolist(),
                "kept": round(100 * word.overlap),
                "lost": list(word.only_there),
                "won": list(word.only_here),
            }
            for row, position, word in zip(rows.tolist(), before, moved, strict=True)
        ],
    }


def _regions_of(content: ReportContent, count: int) -> list[Region]:
    """The regions whose words the page has."""
    return [region for region in content.regions if max([*region.rows, *region.members]) < count]


def _examples(content: ReportContent) -> list[tuple[str, list[str]]]:
    """Example words with their nearest words, for pages without a script."""
    rows = list(content.examples)
    cosines = content.vectors[rows] @ content.vectors.T
    cosines[np.arange(len(rows)), rows] = -np.inf
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :EXAMPLE_NEIGHBORS]
    return [
        (content.words[row], [content.words[other] for other in near])
        for row, near in zip(rows, nearest.tolist(), strict=True)
    ]


def _explorer_data(
    content: ReportContent,
    words: list[str],
    vectors: QuantizedVectors,
    positions: NDArray[np.float32],
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    return {
        "table": content.table,
        "dimension": content.dimension,
        "bits": vectors.bits,
        "allWords": len(content.all_counts),
        "words": words,
        "counts": content.counts[: len(words)].tolist(),
        "positionScale": POSITION_SCALE,
        "positions": np.rint(positions * POSITION_SCALE).astype(int).reshape(-1).tolist(),
        "groups": groups.tolist(),
        "laidOut": min(len(content.word_map.positions), len(words)),
        "examples": [row for row in content.examples if row < len(words)],
        "regions": [
            {
                "level": region.level,
                "x": round(region.x * POSITION_SCALE),
                "y": round(region.y * POSITION_SCALE),
                "rows": list(region.rows),
                # Only those of the large regions are listed.
                "members": list(region.members) if region.level == 0 else [],
            }
            for region in _regions_of(content, len(words))
        ],
    }


def _by_metric(measures: Sequence[Measure]) -> dict[str, list[Measure]]:
    """Metric -> its sections that have a value."""
    sections: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.section and measure.value is not None:
            sections.setdefault(measure.metric, []).append(measure)
    return sections


def _policy(scripts: Sequence[str], style: str) -> str:
    """A content security policy that loads nothing and allows only these scripts and this style, by hash."""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(hash_source(script) for script in scripts),
        "style-src": hash_source(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def hash_source(text: str) -> str:
    """The hash by which a content security policy allows a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def page_environment() -> Environment:
    """Jinja with escaping, the templates of this folder and the filters for figures and names of metrics."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "score": lambda value: "–" if value is None else f"{value:.4f}",
        "share": lambda value: "–" if value is None else f"{100 * value:.1f} %",
        "measure": measure_name,
        "section": section_name,
        "meaning": measure_meaning,
    }
    return environment


@cache
def _script() -> str:
    """The script of the explorer: the libraries, then our own files inside one function, which pauses between steps."""
    libraries = [_read_library(name) for name in LIBRARIES]
    own = "\n".join(read_template(name) for name in SCRIPTS)
    script = "\n".join([*libraries, f'(async () => {{\n"use strict";\n{own}\n}})();\n'])
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script of the report contains text that closes its script element; split that text in two")
    return script


@cache
def read_template(name: str) -> str:
    """The text of a file in the folder of templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _read_library(name: str) -> str:
    """A library. Its comments may show how to embed it, which would close the page's script element."""
    (path,) = (path for path in VENDOR.glob(f"{name}-*.js") if path.name[len(name) + 1].isdigit())
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")


@cache
def _read_vendored(name: str) -> str:
    return (VENDOR / name).read_text(encoding="utf-8")
