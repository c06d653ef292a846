"""The report of a model with several interests and no categories, of which the report knows nothing."""

from pathlib import Path

import pytest

import recbole_sigma
from recbole_sigma.cli import explain
from recbole_sigma.report import write_report
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from recbole_sigma.report.palette import COLORS
from recbole_sigma.report.sections.examples import choose
from tests.model.toy_interests import ToyInterests
from tests.report.test_page import OF_ACCURACY, OF_INTERESTS, names, of_training


@pytest.fixture(scope="module")
def rec(toy):
    return recbole_sigma.load(toy["checkpoint"], "cpu", ToyInterests)


@pytest.fixture(scope="module")
def opened(browser, toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(toy["checkpoint"], path, model_class=ToyInterests).missing is None
    return browser.open(path)


def test_it_has_every_section(opened, toy):
    assert opened.problems == []
    plots = opened.plots()
    histories = {plot["name"] for plot in plots if plot["name"].startswith("history-")}
    assert names(plots) == of_training(toy) | OF_ACCURACY | OF_INTERESTS | {"item-map"} | histories
    assert len(histories) >= 3
    assert all(plot["drawn"] and plot["traces"] and all(plot["traces"]) for plot in plots)
    assert opened.page.locator("main .missing").count() == 0


def test_it_speaks_of_interests_and_not_of_categories(opened):
    body = opened.page.inner_text("body")
    assert "ToyInterests learns no categories of items, so all have one colour." in body
    assert body.lower().replace("learns no categories", "").count("categor") == 0
    assert "spread" not in body and "SIGMA" not in body and "Typical items" not in body
    for plot in ("intensity", "strongest", "history-0"):
        ticks = opened.page.eval_on_selector_all(f"#{plot} .ytick text", "texts => texts.map(text => text.textContent)")
        assert set(ticks) == {"interest 0", "interest 1", "interest 2"}
    traces = opened.page.evaluate("() => document.getElementById('item-map').data.map(trace => trace.marker.color)")
    assert traces == [COLORS[0]]
    assert "Intensity of each interest" in body


def test_colours_of_an_example_are_interests(opened, rec):
    """An item of the history has the interest of its largest weight, the item that came next the one nearest to it."""
    held_out = rank_test_rows(rec, open_test_rows(rec))
    for number, (row, _) in enumerate(choose(held_out)):
        interaction, excluded, *_ = held_out.loader.collate_fn([row])
        history = [token for token in rec.catalog.tokens[interaction["item_id_list"][0].numpy()] if token != "[PAD]"]
        interests = rec.interests(history, nearest=40)
        member = {token: interest.category for interest in interests for token in interest.items}
        colors, lanes = opened.page.evaluate(
            f"() => [document.getElementById('history-{number}').data[0]].flatMap(t => [t.marker.color, t.y])"
        )
        assert lanes[:-1] == [member[token] for token in history]
        assert colors == [COLORS[lane] for lane in lanes]
        explained = rec.explain(history, k=40 - len(history))
        closest = dict(zip(explained.recommendation.items, explained.closest_interest))
        assert lanes[-1] == closest[rec.catalog.tokens[held_out.target[row]]]

        article = opened.page.locator("article.example").nth(number)
        heads = [text.split("\n")[0] for text in article.locator(".interest p:first-child").all_inner_texts()]
        assert [head.split()[:2] for head in heads] == [["Interest", str(one.category)] for one in interests]
        latest = article.locator(".titles.plain .swatch").evaluate_all("marks => marks.map(mark => mark.title)")
        assert latest == [f"interest {member[token]}" for token in history[::-1][:6]]
        marks = article.locator(".titles:not(.plain) .swatch")
        recommended = marks.evaluate_all("marks => marks.map(mark => mark.title)")
        ranked = rec.catalog.tokens[rec.rank(interaction, 10, excluded).items[0].numpy()]
        assert recommended == [f"interest {closest[token]}" for token in ranked]


def test_interests_that_score_stand_beside_the_recommendations(opened):
    assert opened.page.locator(".apart").count() == 0
    headings = opened.page.locator("article.example .columns h4").all_inner_texts()
    assert headings.count("Interests, which score the items") == opened.page.locator("article.example").count()
    text = opened.page.inner_text("#explanations")
    assert (
        "100.0% ± 0.0% of these recommended items are in the top 20" in text
        and "The interests score the items." in text
    )


def test_no_model_is_named_where_any_model_is_shown():
    report = Path(write_report.__code__.co_filename).parent
    for path in [*report.rglob("*.py"), *report.rglob("*.html"), Path(explain.__file__)]:
        assert "SIGMA" not in path.read_text("utf-8"), path
