"""Some users: what they had, what the model makes of it, and what it recommends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recbole_sigma.recommend import Interest, Recommender
from recbole_sigma.report.figures import layout
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.html import Section, counted, escape, figure, hover_lines, missing, paragraph, swatch
from recbole_sigma.report.items import category_of_items, title
from recbole_sigma.report.palette import COLORS, NEUTRAL, color, symbol
from recbole_sigma.report.sections.intensities import effective_number

RECOMMENDED = 10
NEAREST = 4
LATEST = 6
LENGTHS = (("A short history", 0.1), ("A history of middle length", 0.5), ("A long history", 0.9))


class Example(NamedTuple):
    """A row of the test.

    Attributes:
        why: what it is an example of.
        history: ids of the items that the model reads, oldest first.
        ranked: ids of the items from the best to the worst, those that are left out last.
    """

    row: int
    why: str
    history: np.ndarray
    ranked: np.ndarray


def examples(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "examples", "Some users"
    if held_out is None:
        return Section(name, heading, missing(why_not), {})
    category = category_of_items(recommender)
    legend = " Colours are categories." if category is not None else ""
    body = paragraph(
        "Users of the test, chosen by the length of their history"
        + (" and by how evenly their interests share it" if category is not None else "")
        + ", not by how well they are served. Points are the items that the model reads, in order; the star is the "
        f"item that came next, which it has not seen.{legend}"
    )
    figures = {}
    for number, (row, why) in enumerate(choose(held_out)):
        example = _read(recommender, held_out, row, why)
        place = f"history-{number}"
        figures[place] = _timeline(recommender, held_out, example, category)
        body += _article(recommender, held_out, example, category, place)
    return Section(name, heading, body, figures)


def choose(held_out: HeldOut) -> list[tuple[int, str]]:
    """Rows and why: the first ones at three lengths of the history, and the most and the least even interests.

    The last two are chosen among the histories of at least middle length.
    """
    chosen = {}
    for why, quantile in LENGTHS:
        wanted = np.quantile(held_out.length, quantile, method="lower")
        rows = np.flatnonzero(held_out.length == wanted)
        chosen.setdefault(next((row for row in rows.tolist() if row not in chosen), int(rows[0])), why)
    if held_out.intensity is not None:
        effective = effective_number(held_out.intensity)
        long_enough = held_out.length >= np.median(held_out.length)
        even = int(np.where(long_enough, effective, -np.inf).argmax())
        uneven = int(np.where(long_enough, effective, np.inf).argmin())
        chosen.setdefault(even, f"The most even interests, as {effective[even]:.1f} equal ones")
        chosen.setdefault(uneven, f"The least even interests, as {effective[uneven]:.1f} equal ones")
    return list(chosen.items())


def _read(recommender: Recommender, held_out: HeldOut, row: int, why: str) -> Example:
    loader = held_out.loader
    interaction, excluded, _, _ = loader.collate_fn([row])
    history = interaction[recommender.model.ITEM_SEQ][0]
    ranked = recommender.rank(interaction, loader.dataset.item_num, excluded)
    return Example(row, why, history[history > 0].numpy(), ranked.items[0].cpu().numpy())


def _timeline(recommender: Recommender, held_out: HeldOut, example: Example, category: np.ndarray | None) -> dict:
    catalog, target = recommender.catalog, int(held_out.target[example.row])
    items = [*example.history.tolist(), target]
    lane = [0 if category is None else int(category[item]) for item in items]
    last = len(items) - 1
    colors = [COLORS[0] if category is None else color(number) for number in lane]
    unread = int(held_out.length[example.row]) - last
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [unread + place + 1 for place in range(len(items))],
        "y": lane,
        "marker": {
            "color": colors,
            "opacity": 1,
            "symbol": [*(symbol(number) for number in lane[:-1]), "star"],
            "size": [10] * last + [16],
            "line": {"width": [0] * last + [1.5], "color": NEUTRAL},
        },
        "hovertext": [
            hover_lines(title(catalog, item), "next item" if place == last else f"item {unread + place + 1}")
            for place, item in enumerate(items)
        ],
        "hoverinfo": "text",
        "cliponaxis": False,
    }
    lanes = [0] if category is None else list(range(int(category.max()) + 1))
    axis = {
        "tickvals": lanes,
        "ticktext": [""] if category is None else [f"category {number}" for number in lanes],
        "range": [lanes[-1] + 0.6, -0.6],
        "zeroline": False,
        "fixedrange": True,
    }
    return {
        "data": [trace],
        "layout": layout(
            "place in the history",
            "",
            86 + 24 * len(lanes),
            yaxis=axis,
            xaxis={"showgrid": False, "zeroline": False, "range": [unread + 0.2, unread + len(items) + 0.8]},
            hovermode="closest",
            margin={"l": 56, "r": 16, "t": 4, "b": 44},
        ),
    }


def _article(
    recommender: Recommender, held_out: HeldOut, example: Example, category: np.ndarray | None, place: str
) -> str:
    catalog, dataset = recommender.catalog, held_out.loader.dataset
    user = str(dataset.field2id_token[dataset.uid_field][held_out.user[example.row]])
    target = int(held_out.target[example.row])
    rank = int(np.flatnonzero(example.ranked == target)[0]) + 1
    unread = int(held_out.length[example.row]) - len(example.history)
    facts = f"User {user}: {counted(int(held_out.length[example.row]), 'item')} before the test" + (
        f", of which the model reads the last {len(example.history):,}." if unread else "."
    )
    outcome = f"It was {_item(catalog, target, category)}, on place {rank:,} of the {len(catalog):,} items."
    latest = "".join(f"<li>{_item(catalog, item, category)}</li>" for item in example.history[::-1][:LATEST].tolist())
    recommended = "".join(
        f'<li class="hit">{_item(catalog, item, category)} <em>came next</em></li>'
        if item == target
        else f"<li>{_item(catalog, item, category)}</li>"
        for item in example.ranked[:RECOMMENDED].tolist()
    )
    columns = [
        f'<div><h4>Latest items, newest first</h4><ol class="titles plain">{latest}</ol></div>',
        f'<div><h4>Recommended</h4><ol class="titles">{recommended}</ol></div>',
    ]
    if category is not None:
        interaction, *_ = held_out.loader.collate_fn([example.row])
        read = recommender.interests_of_row(interaction, NEAREST)
        columns.insert(1, f"<div><h4>Interests</h4>{''.join(_interest(recommender, one) for one in read)}</div>")
    return (
        f'<article class="example"><h3>{escape(example.why)}</h3>{paragraph(facts)}'
        + figure(place, "History", "The items of the history in order.", "slim")
        + f'<p class="outcome"><b>What came next?</b> {outcome}</p>'
        + f'<div class="columns">{"".join(columns)}</div></article>'
    )


def _item(catalog, item: int, category: np.ndarray | None) -> str:
    name = escape(title(catalog, item))
    return name if category is None else f"{swatch(int(category[item]))}{name}"


def _interest(recommender: Recommender, interest: Interest) -> str:
    catalog = recommender.catalog
    near = " · ".join(escape(title(catalog, item)) for item in catalog.ids(interest.nearest).tolist())
    return (
        f'<div class="interest"><p>{swatch(interest.category)}Category {interest.category}'
        f"<b>{interest.intensity:.0%}</b></p>"
        f'<div class="bar"><i style="width:{interest.intensity:.2%};background:{color(interest.category)}"></i></div>'
        f"<small>{counted(len(interest.items), 'item')} of the history, spread {interest.spread:.2f}; nearest:"
        f'</small><p class="near">{near}</p></div>'
    )
