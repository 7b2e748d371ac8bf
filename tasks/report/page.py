"""The report page: one self-contained HTML file that treats every word as data, not markup.

Three measures ensure that: Jinja escapes all text, the words of the explorer are embedded as JSON that cannot close its
script element, and the content security policy allows only the one script with the listed hash. The script sets text,
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

from tasks.report.charts import frequency_chart, history_path, loss_chart
from tasks.report.content import Measure, ReportContent
from tasks.report.quantization import QuantizedVectors, fit_vectors
from tasks.report.wording import MEASURES, measure_name, section_name

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
VENDOR = HERE / "vendor"
# In loading order: each depends on the ones before it.
LIBRARIES = ("dispatch", "timer", "ease", "color", "interpolate", "selection", "drag", "transition", "zoom", "quadtree")
SCRIPTS = ("vectors.js", "map.js", "panels.js", "explorer.js")

# 20,000 words of 128 dimensions take 4 MB; above this limit the explorer has fewer words.
MAX_EXPLORER_BYTES = 6_500_000
PLACE_SCALE = 10_000


def render_report(content: ReportContent, max_explorer_bytes: int = MAX_EXPLORER_BYTES) -> str:
    """The page as HTML.

    max_explorer_bytes: limit for the words and vectors of the explorer. The least frequent words that do not fit are
    dropped, and the page states how many it contains. The rest of the page is at most a few hundred kB.
    """
    vectors = fit_vectors(content.words, content.vectors, max_explorer_bytes)
    words = list(content.words[: len(vectors.values)])
    script, style = _script(), read_template("report.css")
    page = page_environment().get_template("report.html.jinja")
    return page.render(
        report=content,
        explorer_words=len(words),
        map_words=min(len(content.word_map.places), len(words)),
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
        data=json_block(_explorer_data(content, words, vectors)),
        vectors=Markup(base64.b64encode(vectors.values.tobytes()).decode("ascii")),
        script=Markup(script),
        style=Markup(style),
        policy=_policy(script, style),
        licences=[_read_vendored("LICENSE-d3.txt"), _read_vendored("LICENSE-d3-ease.txt")],
    )


def json_block(data: object) -> Markup:
    """JSON for a script element, with `<` escaped so that no text can close the element or open another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _explorer_data(content: ReportContent, words: list[str], vectors: QuantizedVectors) -> dict[str, Any]:
    shown = content.word_map
    places = np.rint(shown.places[: len(words)] * PLACE_SCALE).astype(int)
    return {
        "table": content.table,
        "dimension": content.dimension,
        "bits": vectors.bits,
        "allWords": len(content.all_counts),
        "words": words,
        "counts": content.counts[: len(words)].tolist(),
        "placeScale": PLACE_SCALE,
        "places": places.reshape(-1).tolist(),
        "groups": shown.groups[: len(words)].tolist(),
    }


def _by_metric(measures: Sequence[Measure]) -> dict[str, list[Measure]]:
    """Metric -> its sections that have a value."""
    sections: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.section and measure.value is not None:
            sections.setdefault(measure.metric, []).append(measure)
    return sections


def _policy(script: str, style: str) -> str:
    """A content security policy that loads nothing and allows only this script and style, by hash."""
    rules = {
        "default-src": "'none'",
        "script-src": hash_source(script),
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
        "meaning": lambda metric: MEASURES.get(metric, ("", ""))[1],
    }
    return environment


@cache
def _script() -> str:
    """The script of the page: the libraries, then our own files inside one function scope."""
    libraries = [next(VENDOR.glob(f"d3-{name}-*.min.js")).read_text(encoding="utf-8") for name in LIBRARIES]
    own = "\n".join(read_template(name) for name in SCRIPTS)
    script = "\n".join([*libraries, f'(() => {{\n"use strict";\n{own}\n}})();\n'])
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script of the report contains text that closes its script element; split that text in two")
    return script


@cache
def read_template(name: str) -> str:
    """The text of a file in the folder of templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _read_vendored(name: str) -> str:
    return (VENDOR / name).read_text(encoding="utf-8")
