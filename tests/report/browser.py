"""A page as a real browser shows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PLOTS = """() => [...document.querySelectorAll(".plot")].map(plot => ({
    name: plot.id,
    drawn: plot.querySelectorAll("svg.main-svg, canvas").length,
    width: plot.querySelector(".main-svg")?.getBoundingClientRect().width ?? 0,
    traces: (plot.data ?? []).map(trace => (trace.x ?? trace.q1 ?? []).length),
    marks: plot.querySelectorAll(".points path, .point path, .boxes path, path.box, .bars path").length,
    titles: [plot.layout?.xaxis?.title?.text, plot.layout?.yaxis?.title?.text],
    missing: [...plot.querySelectorAll("text")].filter(text => text.textContent.includes("undefined")).length,
}))"""


class Opened(NamedTuple):
    """A page, and all that went on while it was opened."""

    page: object
    problems: list[str]
    requests: list[str]

    def plots(self) -> list[dict]:
        return self.page.evaluate(PLOTS)


class Browser:
    def __init__(self, chromium):
        self.chromium = chromium

    def open(self, path: Path, width: int = 1280, scheme: str = "light") -> Opened:
        page = self.chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened = Opened(page, [], [])
        page.on("console", lambda message: opened.problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.on("dialog", lambda dialog: (opened.problems.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("() => document.querySelectorAll('.plot:empty').length === 0")
        return opened


@contextmanager
def started() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield Browser(chromium)
        chromium.close()
