"""Points and error bars lie where the numbers say, and the files are well-formed and reproducible."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.paper import plots
from benchmarks.paper.plan import Row
from benchmarks.paper.results import Result
from recbole_sigma.errors import MissingExtraError
from tests.benchmarks.running import ROOT

SVG = "{http://www.w3.org/2000/svg}"
TITLE = "A & <B>"


def result(key, *seeds):
    """A row whose Recall@20 and NDCG@20 are these pairs, one for each seed."""
    records = [{"seen_removed": {"test": {"recall@20": recall, "ndcg@20": ndcg}}} for recall, ndcg in seeds]
    return Result(Row(f"K = {key}", "SIGMA", {"K": key}, f"K = {key}"), records, 3)


RESULTS = [
    result(8, (0.12, 0.05)),
    result(2, (0.09, 0.03), (0.11, 0.05)),
    result(16),
    result(4, (0.14, 0.06), (0.12, 0.07), (0.16, 0.08)),
]
RECALL = {2: (0.10, 0.02**0.5 / 10), 4: (0.14, 0.02), 8: (0.12, None)}
NDCG = {2: (0.04, 0.02**0.5 / 10), 4: (0.07, 0.01), 8: (0.05, None)}
"""Means and standard deviations of the sample, by hand."""


def sweep(results=RESULTS):
    return plots.sweep(TITLE, "K", ["recall@20", "ndcg@20"], results)


def trade_off(results=RESULTS):
    return plots.trade_off(TITLE, "ndcg@20", "recall@20", results)


def bars(container):
    """The ends ``[2, 2]`` of each error bar that is drawn, as pairs of x and y; horizontal bars first."""
    return [ends for part in container.lines[2] for ends in part.get_segments() if len(ends)]


def test_a_sweep_draws_means_in_the_order_of_the_values_with_their_deviations():
    figure = sweep()
    assert figure.get_suptitle() == TITLE and len(figure.axes) == 2
    for axes, label, expected in zip(figure.axes, ("R@20", "N@20"), (RECALL, NDCG)):
        (container,) = axes.containers
        assert list(container.lines[0].get_xdata()) == [0, 1, 2] and container.lines[0].get_linestyle() == "-"
        assert container.lines[0].get_ydata() == pytest.approx([mean for mean, _ in expected.values()])
        ends = [[(x, mean - sd), (x, mean + sd)] for x, (mean, sd) in enumerate(expected.values()) if sd]
        assert np.array(bars(container)) == pytest.approx(np.array(ends))
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("K", label)
        assert [text.get_text() for text in axes.get_xticklabels()] == ["2\nn = 2", "4\nn = 3", "8\nn = 1"]


def test_a_trade_off_draws_a_marker_with_its_name_and_both_deviations_for_each_row():
    figure = trade_off()
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("N@20", "R@20")
    drawn = [container.lines[0] for container in axes.containers]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in drawn] == [
        pytest.approx((NDCG[key][0], RECALL[key][0])) for key in (8, 2, 4)
    ]
    (x, dx), (y, dy) = NDCG[4], RECALL[4]
    across, up = bars(axes.containers[2])
    assert across == pytest.approx(np.array([(x - dx, y), (x + dx, y)]))
    assert up == pytest.approx(np.array([(x, y - dy), (x, y + dy)]))
    assert bars(axes.containers[0]) == []
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["K = 8\nn = 1", "K = 2\nn = 2", "K = 4\nn = 3"]
    for part in ("get_color", "get_marker"):
        own = [getattr(line, part)() for line in drawn]
        assert len(set(own)) == 3 and own == [getattr(line, part)() for line in legend.legend_handles]


def written(figure, path):
    plots.write(figure, path)
    return ElementTree.parse(path).getroot()


def test_a_file_has_a_white_ground_a_title_text_and_points_at_proportional_heights(tmp_path):
    figure = sweep()
    figure.axes[0].containers[0].lines[0].set_gid("means")
    root = written(figure, tmp_path / "a.svg")
    assert root.find(f"{SVG}title").text == TITLE
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {TITLE, "K", "R@20", "2", "4", "8", "n = 3"} <= set(texts)
    ground = root.find(f".//{SVG}g[@id='patch_1']/{SVG}path")
    assert "fill: #ffffff" in ground.get("style")
    line = root.find(f".//{SVG}g[@id='means']/{SVG}path").get("d")
    points = [tuple(map(float, point)) for point in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]
    markers = [(float(use.get("x")), float(use.get("y"))) for use in root.iter(f"{SVG}use")]
    assert set(points) <= set(markers)
    (left, low), (middle, high), (right, between) = points
    assert middle - left == pytest.approx(right - middle) and high < between < low  # heights grow downwards
    assert low - between == pytest.approx(between - high, abs=0.01)


@pytest.mark.parametrize("draw", [sweep, trade_off])
def test_everything_lies_within_the_picture(draw, tmp_path):
    figure = draw([result(key, (0.1, 0.2), (0.3, 0.1)) for key in (1, 20_000_000, 3.000001)])
    plots.write(figure, tmp_path / "a.svg")
    (left, bottom), (right, top) = figure.get_tightbbox().get_points()
    width, height = figure.get_size_inches()
    assert 0 <= left < right <= width and 0 <= bottom < top <= height


@pytest.mark.parametrize("draw", [sweep, trade_off])
@pytest.mark.parametrize("value", [0.0, 0.5, 1e-7, 1234.5])
def test_a_single_point_has_a_plot(draw, value, tmp_path):
    figure = draw([result(4, (value, value))])
    root = written(figure, tmp_path / "a.svg")
    assert {TITLE, "n = 1"} <= {text.text for text in root.iter(f"{SVG}text")}
    for axes in figure.axes:
        assert axes.containers[0].lines[0].get_ydata() == pytest.approx([value])


PROGRAM = """
import sys
from pathlib import Path

import matplotlib

from benchmarks.paper.plots import write
from tests.benchmarks.test_paper_plots import sweep

before = dict(matplotlib.rcParams)
write(sweep(), Path(sys.argv[1]))
assert dict(matplotlib.rcParams) == before, "the global style has changed"
assert "matplotlib.pyplot" not in sys.modules, "pyplot is imported"
"""


def test_the_settings_of_the_user_and_the_display_change_nothing_and_stay_as_they_are(tmp_path):
    (tmp_path / "matplotlibrc").write_text("backend: TkAgg\nlines.linewidth: 9\nsvg.fonttype: path\nfont.size: 30\n")
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    environment["MATPLOTLIBRC"] = str(tmp_path)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "other.svg")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    plots.write(sweep(), tmp_path / "own.svg")
    text = (tmp_path / "own.svg").read_text()
    assert text == (tmp_path / "other.svg").read_text() and "date" not in text


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib.* pip install 'recbole-sigma\[benchmarks\]'"):
        sweep()
