"""The page around the sections."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from recbole_sigma.report.html import Section, escape
from recbole_sigma.version import __version__


def page(heading: str, source: str, sections: list[Section]) -> str:
    """HTML of the whole page.

    Its security policy lets it load nothing, and run nothing but Plotly and the script of the page.

    Args:
        heading: plain text.
        source: what the page is of, plain text.
        sections: in order; no two have figures of the same name.
    """
    plotly, script = get_plotlyjs(), _read("page.js")
    figures = {name: figure for section in sections for name, figure in section.figures.items()}
    return Template(_read("page.html")).substitute(
        policy="script-src " + " ".join(map(_hash, (plotly, script))),
        heading=escape(heading),
        source=escape(source),
        version=escape(__version__),
        style=_read("page.css"),
        contents="".join(f'<li><a href="#{section.id}">{escape(section.title)}</a></li>' for section in sections),
        sections="".join(
            f'<section id="{section.id}"><h2>{escape(section.title)}</h2>{section.body}</section>'
            for section in sections
        ),
        figures=_json(figures),
        plotly=plotly,
        script=script,
    )


def _read(name: str) -> str:
    return files("recbole_sigma.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"


def _json(value) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
