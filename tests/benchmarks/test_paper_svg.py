"""Plots are well-formed, and their points lie where the numbers say."""

from xml.etree import ElementTree

import pytest

from benchmarks.paper.svg import Panel, Point, draw

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [Point(0, 0.10, 0.01), Point(1, 0.14, 0.02), Point(2, 0.12)]


def drawn(*panels):
    return ElementTree.fromstring(draw("A & <B>", list(panels)))


def test_a_plot_has_a_white_ground_a_title_axes_and_error_bars():
    root = drawn(Panel("K", "R@20", POINTS, ["2", "4", "8"]))
    assert root.find(f"{SVG}title").text == "A & <B>"
    ground = root.find(f"{SVG}rect")
    assert ground.get("fill") == "#fff" and (ground.get("width"), ground.get("height")) == ("300", "240")
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"A & <B>", "K", "R@20", "2", "4", "8", "0.10", "0.12", "0.14"} <= set(texts)
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == 3 and len(list(root.iter(f"{SVG}polyline"))) == 1
    heights = [float(circle.get("cy")) for circle in circles]
    assert heights[1] < heights[2] < heights[0]  # downwards
    assert heights[0] - heights[2] == pytest.approx(heights[2] - heights[1], abs=0.2)
    bars = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#1f5fa8"]
    assert len(bars) == 2 * 3


def test_everything_lies_within_the_picture():
    root = drawn(*[Panel("x", "y", POINTS, [])] * 2)
    assert root.get("viewBox") == "0 0 600 240"
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.get("cx")) < 300 and 0 < float(circle.get("cy")) < 240
    for line in root.iter(f"{SVG}line"):
        assert all(0 <= float(line.get(key)) <= 300 for key in ("x1", "x2", "y1", "y2"))


@pytest.mark.parametrize("value", [0.0, 0.5, 1e-7, 1234.5])
def test_a_single_point_has_a_plot(value):
    root = drawn(Panel("x", "y", [Point(value, value, None, "only & one")], []))
    assert "only & one" in [text.text for text in root.iter(f"{SVG}text")]
    assert len(list(root.iter(f"{SVG}circle"))) == 1
