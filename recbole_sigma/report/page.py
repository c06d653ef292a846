"""The HTML page around the sections."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from recbole_sigma.extras import require
from recbole_sigma.report.palette import color, symbol
from recbole_sigma.report.section import Section
from recbole_sigma.wording import counted
from recbole_sigma.version import __version__

PACKAGE = "recbole_sigma.report"


def page(heading: str, source: str, sections: list[Section]) -> str:
    """HTML of the whole page.

    Its security policy lets it load nothing, and run nothing but Plotly and the page's own script.

    Args:
        heading: title of the page.
        source: file that the page describes.
        sections: in order.

    Raises:
        MissingExtraError: Jinja2 or Plotly is not installed.
    """
    scripts = [require("plotly.offline", "report").get_plotlyjs(), _read("page.js")]
    return (
        _environment()
        .get_template("page.html")
        .render(
            heading=heading,
            source=source,
            version=__version__,
            style=_read("page.css"),
            sections=sections,
            figures={plot.name: plot.figure for section in sections for plot in section.plots},
            scripts=scripts,
            hashes=[_hash(script) for script in scripts],
        )
    )


def _environment():
    """Jinja2 that escapes every value, except where a template says ``safe``."""
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters.update(counted=counted, thousands="{:,}".format, color=color, symbol=symbol)
    return environment


def _read(name: str) -> str:
    return files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
