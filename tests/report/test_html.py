"""The page as HTML: what a browser may load and run, and text that stays text."""

import base64
import hashlib
import json
from html.parser import HTMLParser

import jinja2
import pytest

from recbole_sigma.report.page import page
from recbole_sigma.report.section import Plot, Section

HARM = "</title></script></style><script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;"


class Parsed(HTMLParser):
    """The start tags, the text, and the contents of scripts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.scripts = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    def count(self, tag):
        return [name for name, _ in self.tags].count(tag)


def parsed(text):
    figure = {"data": [{"hovertext": [text]}], "layout": {}}
    sections = [
        Section("overview", text, {"tiles": [(text, text, text)]}),
        Section("settings", text, {"rows": [(text, text)]}),
        Section("accuracy", text, {"unit": text, "max_length": 5}, [Plot(text, text, text, figure)]),
        Section("examples", text, missing=text),
    ]
    return Parsed(page(text, text, sections))


def test_no_text_becomes_an_element_or_ends_one():
    harmless, harmful = parsed("harmless"), parsed(HARM)
    assert [tag for tag, _ in harmful.tags] == [tag for tag, _ in harmless.tags]
    assert harmful.count("script") == 3 and harmful.count("img") == 0
    assert harmful.text.count(HARM) == harmless.text.count("harmless") > 10
    plot = next(attributes for _, attributes in harmful.tags if attributes.get("class") == "plot")
    assert plot["id"] == plot["aria-label"] == HARM


def test_figures_are_json_that_cannot_end_its_element():
    figures, *_ = parsed(HARM).scripts
    assert json.loads(figures)[HARM]["data"][0]["hovertext"] == [HARM]


def test_the_policy_lets_the_two_scripts_run_and_nothing_else():
    found = parsed("text")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found.scripts[1:]]
    policy = next(attributes["content"] for _, attributes in found.tags if "http-equiv" in attributes)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == " ".join(f"'sha256-{one}'" for one in hashes) and len(hashes) == 2


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="tiles"):
        page("heading", "source", [Section("overview", "Overview")])


def test_numbers_that_json_does_not_have_are_an_error():
    plot = Plot("name", "caption", "description", {"data": [{"y": [float("nan")]}]})
    with pytest.raises(ValueError, match="JSON"):
        page("heading", "source", [Section("examples", "Some users", missing="why", plots=[plot])])
