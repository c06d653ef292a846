"""The report as a browser shows it: every plot is there, nothing is loaded, and text from files stays text."""

import re
import sys
from html import unescape

import numpy as np
import pytest
import torch

from recbole_sigma import load
from recbole_sigma.cli import main
from recbole_sigma.errors import CheckpointError, MissingExtraError
from recbole_sigma.model import SASRecAP
from recbole_sigma.report import write_report
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from recbole_sigma.report.sections.examples import choose
from recbole_sigma.report.sections.explanations import measure
from recbole_sigma.rules import at_least
from recbole_sigma.training import checkpoint
from tests.report.conftest import TITLES

OF_ACCURACY = {"recall-by-length", "recall-by-popularity", "ndcg-by-length", "ndcg-by-popularity"}
OF_INTERESTS = {"intensity", "strongest", "effective"}


@pytest.fixture(scope="module")
def report(sigma, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(sigma["checkpoint"], path).missing is None
    return path


@pytest.fixture(scope="module")
def opened(browser, report):
    return browser.open(report)


def luminance(page, selector, property_):
    """Relative luminance of a colour, as WCAG 2 defines it."""
    value = page.evaluate(f"s => getComputedStyle(document.querySelector(s)).{property_}", selector)
    parts = [int(part) / 255 for part in re.findall(r"\d+", value)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


def names(plots):
    return {plot["name"] for plot in plots}


def of_training(run):
    """Names of the plots of the training: the loss, two metrics, and each term of the loss."""
    terms = checkpoint.load(run["checkpoint"])["history"][0].get("terms") or {}
    return {"loss", "valid-0", "valid-1", *(f"term-{number}" for number in range(len(terms)))}


def test_opening_it_brings_no_error_and_loads_nothing(opened, report):
    assert opened.problems == []
    assert opened.requests == [report.as_uri()]


def test_every_plot_is_drawn_and_has_data_and_axes(opened, sigma):
    plots = opened.plots()
    histories = {plot["name"] for plot in plots if plot["name"].startswith("history-")}
    assert names(plots) == of_training(sigma) | OF_ACCURACY | OF_INTERESTS | {"item-map"} | histories
    assert 4 <= len(histories) <= 6
    for plot in plots:
        assert plot["drawn"] and plot["width"] > 200, plot
        assert plot["traces"] and all(plot["traces"]), plot
        assert plot["marks"] >= len(plot["traces"]), plot
        assert plot["titles"][0] and plot["missing"] == 0, plot


def test_the_contents_lead_to_every_section(opened):
    links = opened.page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    sections = opened.page.eval_on_selector_all("main > section", "parts => parts.map(part => '#' + part.id)")
    assert links == sections and len(sections) == 9


def test_titles_are_shown_as_they_are(opened):
    """In lists and in the labels of points; none of them became an element or ran."""
    text = opened.page.inner_text("main")
    assert all(title in text for title in TITLES)
    assert "User <s>" in text
    assert opened.page.locator("main script, main img, main b:text-is('bold'), main s, main section i > *").count() == 0

    hovertexts = opened.page.evaluate("() => document.getElementById('item-map').data.map(trace => trace.hovertext)")
    places = [(curve, point) for curve, texts in enumerate(hovertexts) for point in range(len(texts))]
    for title in TITLES:
        curve, point = next(place for place in places if unescape(hovertexts[place[0]][place[1]]).startswith(title))
        opened.page.wait_for_timeout(100)  # Plotly leaves out labels that follow each other within 50 ms
        opened.page.evaluate(
            "([curveNumber, pointNumber]) => Plotly.Fx.hover('item-map', [{curveNumber, pointNumber}])", [curve, point]
        )
        label = opened.page.text_content("#item-map .hoverlayer")
        assert re.fullmatch(re.escape(title) + r" \d+item <i>\d+category \d\d+ training interactions", label)
    assert opened.problems == []


def test_a_script_in_the_page_would_not_run(browser, report, tmp_path):
    """What the security policy is for, should ever a text not be escaped."""
    text = report.read_text("utf-8").replace(
        "</main>", "<script>alert('ran')</script><img src='http://a.test/'></main>"
    )
    (tmp_path / "report.html").write_text(text, "utf-8")
    opened = browser.open(tmp_path / "report.html")
    assert "ran" not in opened.problems
    assert len(opened.problems) == 2 and all("Content Security Policy" in problem for problem in opened.problems)


MISFITS = """() => [...document.querySelectorAll(".main-svg")].map(
    plot => [plot, plot.closest("figure")].map(element => element.getBoundingClientRect().width)
).filter(([plot, place]) => Math.abs(plot - place) > 1)"""


@pytest.mark.parametrize("scheme, widths", [("light", (360, 768, 1600)), ("dark", (1600, 768, 360))])
def test_it_fits_every_width_and_follows_the_colour_scheme(browser, report, scheme, widths):
    """The first width is that of the window from the start; then the window is resized."""
    opened = browser.open(report, widths[0], scheme)
    for width in widths:
        opened.page.set_viewport_size({"width": width, "height": 900})
        opened.page.wait_for_function(f"() => ({MISFITS})().length === 0")
        assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert min(plot["width"] for plot in opened.plots()) > 200
    ground = luminance(opened.page, "body", "backgroundColor")
    ink = luminance(opened.page, "#loss .xtitle", "fill")
    assert (ground > ink) == (scheme == "light")
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5  # WCAG 2, level AA
    assert opened.problems == []
    opened.page.close()


def test_numbers_of_the_page_are_those_of_the_run(opened, sigma):
    rows = opened.page.eval_on_selector_all("#test tr", "rows => rows.map(row => row.innerText.split('\\t'))")
    assert rows[0][:3] == ["metric", "validation", "test"]
    shown = {name.lower(): (float(valid), float(test)) for name, valid, test, _ in rows[1:]}
    assert shown == {key: (sigma["best_valid_result"][key], value) for key, value in sigma["test_result"].items()}
    assert "Ranking the test rows again for this report gave the same values." in opened.page.inner_text("#test")
    losses = opened.page.evaluate("() => document.getElementById('loss').data[0].y")
    history = checkpoint.load(sigma["checkpoint"])["history"]
    assert losses == [entry["train_loss"] for entry in history] and len(losses) == 2
    best = max(history, key=lambda entry: entry["valid"]["recall@10"])["epoch"]
    assert f"best: {best}" in opened.page.text_content("#loss")


def test_the_item_that_came_next_is_marked_where_it_was_recommended(opened):
    for article in opened.page.locator("article.example").all():
        place = int(re.search(r"on place (\d+) of the 40 items", article.inner_text())[1])
        hits = article.locator("li.hit")
        assert hits.count() == (place <= 10)
        if place <= 10:
            own = "element => [...element.parentElement.children].indexOf(element) + 1"
            assert hits.first.evaluate(own) == place


def explained(opened, recommender, held_out):
    """For each example, what stands below its recommended items, and what should."""
    for article, (row, _) in zip(opened.page.locator("article.example").all(), choose(held_out)):
        dataset = held_out.loader.dataset
        index = int(dataset.inter_feat["target:index"][row])
        start, length = (int(part) for part in dataset.seen_before(torch.tensor([index])))
        ids = dataset.interactions["item_id"][start : start + length].numpy()
        found = recommender.explain(recommender.catalog.tokens[ids].tolist(), k=10)
        titles = [
            [recommender.catalog.titles[recommender.catalog.ids([token])[0]] for token in own] for own in found.because
        ]
        expected = [f"because you had {' and '.join(own)}" if own else "no single item decides" for own in titles]
        yield article, article.locator(".why").all_inner_texts(), expected, found


def test_below_each_recommended_item_is_what_it_is_due_to(opened, sigma):
    recommender = load(sigma["checkpoint"], "cpu")
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    for article, shown, expected, found in explained(opened, recommender, held_out):
        assert shown == expected and len(shown) == len(found.recommendation.items)
        heading = article.locator(".apart").inner_text()
        assert heading == "A description of the history by interests, which have no part in the scores"
        numbers = [int(text.split()[1]) for text in article.locator(".interest p:first-child").all_inner_texts()]
        assert numbers == [one.category for one in found.interests]
        nearest = [text.split(" · ") for text in article.locator(".near").all_inner_texts()]
        titles = [
            [recommender.catalog.titles[recommender.catalog.ids([token])[0]] for token in one.nearest[:4]]
            for one in found.interests
        ]
        assert nearest == titles
        assert article.locator(".titles:not(.plain) .swatch").count() == 0


def test_the_page_says_how_often_explanations_hold(opened, sigma):
    recommender = load(sigma["checkpoint"], "cpu")
    measured = measure(recommender, rank_test_rows(recommender, open_test_rows(recommender)))
    section = opened.page.locator("#explanations")
    rows = [row.split("\t") for row in section.locator("tbody tr").all_inner_texts()]
    assert [row[0] for row in rows] == ["none", "one", "two or more"]
    for number, (row, share) in enumerate(zip(rows, measured.deletion.shares())):
        assert row[1].startswith(f"{share.mean:.1%} ±")
        found = measured.deletion.compare(number) if number else None
        assert [cell.split(" ")[0] for cell in row[2:]] == (
            ["", "", "", ""]
            if found is None
            else [f"{found.named.mean:.1%}", f"{found.random.mean:.1%}", f"{found.ratio.mean:.1f}"]
            + ([f"{found.others.mean:.1%}"] if found.others else [""])
        )
    text = section.inner_text()
    assert f"{len(measured.deletion.history):,} items that are recommended to {measured.num_users} users" in text
    assert f"{measured.agreement.mean:.1%} ±" in text and "The interests have no part in the scores" in text


def test_at_most_as_many_users_are_measured_as_asked_for_and_the_same_ones_again(sigma):
    recommender = load(sigma["checkpoint"], "cpu")
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    one, again = (measure(recommender, held_out, users=7) for _ in range(2))
    assert one.num_users == 7 == len({*one.deletion.history.tolist()})
    for mine, other in zip(one.deletion, again.deletion):
        np.testing.assert_array_equal(mine, other)


def test_a_model_without_interests_has_the_rest(browser, sasrec, tmp_path):
    assert write_report(sasrec["checkpoint"], tmp_path / "report.html").missing is None
    opened = browser.open(tmp_path / "report.html")
    assert opened.problems == []
    plots = opened.plots()
    assert names(plots) == of_training(sasrec) | OF_ACCURACY | {"item-map", "history-0", "history-1", "history-2"}
    assert all(plot["drawn"] and all(plot["traces"]) for plot in plots)
    assert "SASRecAP has no interests" in opened.page.inner_text("#intensities")
    assert opened.page.locator(".interest").count() == 0


def test_without_data_and_record_the_page_says_what_is_missing(browser, sigma, tmp_path, capsys):
    """A checkpoint of a run that was interrupted, on a machine without its data."""
    state = checkpoint.load(sigma["checkpoint"])
    for key in ("history", "valid_result", "test_result"):
        del state[key]
    checkpoint.save(state, tmp_path / "interrupted.pth")
    words = ["report", "--checkpoint", str(tmp_path / "interrupted.pth"), "--output", str(tmp_path / "report.html")]
    assert main([*words, f"--data_path={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"report: .*report.html \(\d\.\d MB\)", printed)
    assert "the parts about users are left out: the data set titled is not in" in printed

    opened = browser.open(tmp_path / "report.html")
    assert opened.problems == []
    assert names(opened.plots()) == {"item-map"}
    for section, text in {
        "training": "no record of its training",
        "test": "no test result",
        "intensities": "give the folder that contains titled/ with --data_path",
        "accuracy": "give the folder that contains titled/ with --data_path",
        "examples": "give the folder that contains titled/ with --data_path",
    }.items():
        assert text in opened.page.inner_text(f"#{section} .missing")


def test_results_that_the_data_do_not_give_are_pointed_out(sigma, tmp_path):
    state = checkpoint.load(sigma["checkpoint"])
    state["test_result"]["recall@10"] += 0.01
    checkpoint.save(state, tmp_path / "other.pth")
    write_report(tmp_path / "other.pth", tmp_path / "report.html")
    section = re.search('<section id="test">.*?</section>', (tmp_path / "report.html").read_text("utf-8"), re.S)[0]
    assert re.search('<p class="missing">[^<]*gave other values of Recall@10', section)


def test_it_is_the_same_every_time(report, sigma, tmp_path):
    write_report(sigma["checkpoint"], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


class Mine(SASRecAP):
    """A model that neither the plugin nor RecBole has."""

    rules = {**SASRecAP.rules, "my_size": at_least(1)}


def test_a_model_of_the_users_is_reported_with_its_class(train, tmp_path):
    path = train(Mine, hidden_size=8, inner_size=8, my_size=3)["checkpoint"]
    with pytest.raises(CheckpointError, match="is of Mine, .* expected its class as well"):
        write_report(path, tmp_path / "report.html")
    assert write_report(path, tmp_path / "report.html", model_class=Mine).missing is None
    assert "<td>my_size</td><td>3</td>" in (tmp_path / "report.html").read_text("utf-8")


def test_a_model_that_is_not_sequential_is_refused(train, tmp_path, capsys):
    run = train("BPR", embedding_size=8, MAX_ITEM_LIST_LENGTH=50)
    assert main(["report", "--checkpoint", run["checkpoint"], "--output", str(tmp_path / "report.html")]) == 2
    assert "expected a sequential model" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("module", ["jinja2", "plotly.offline", "sklearn.manifold"])
def test_a_package_that_is_missing_is_named_with_its_extra(sigma, tmp_path, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'recbole-sigma\[report\]'"):
        write_report(sigma["checkpoint"], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_histories_that_are_too_short_are_said_to_be(sasrec, monkeypatch, tmp_path):
    monkeypatch.setattr("recbole_sigma.report.sections.explanations.long_enough", lambda *_: np.zeros(0, dtype=int))
    text = write_report(sasrec["checkpoint"], tmp_path / "report.html").path.read_text("utf-8")
    assert "No history of the test has 5 different items and leaves others to recommend." in text
