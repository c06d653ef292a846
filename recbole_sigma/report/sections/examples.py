"""Some users: their history, their interests, and what the model recommends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.interests import (
    CANDIDATES,
    HistoryInterests,
    has_interests,
    interests_of_row,
    ranked_by_interests,
    role_of_interests,
)
from recbole_sigma.recommend.output import because_of
from recbole_sigma.report.figures import hover_lines, layout
from recbole_sigma.report.held_out import HeldOut, histories
from recbole_sigma.report.items import category_of_items, title
from recbole_sigma.report.palette import COLORS, NEUTRAL, color, symbol
from recbole_sigma.report.section import Plot, Section
from recbole_sigma.report.sections.intensities import effective_number
from recbole_sigma.report.words import name_of_interest

RECOMMENDED = 10
NEAREST = 4
LATEST = 6
LENGTHS = (("A short history", 0.1), ("A history of middle length", 0.5), ("A long history", 0.9))


class Example(NamedTuple):
    """A row of the test; ``T`` items that the model reads, ``V`` items with the padding.

    Attributes:
        row: its number.
        why: what it is an example of.
        history: ``[T]``, ids, oldest first.
        ranked: ``[R]``, ids of the items that can be recommended, best first.
        because: for each of the first ``RECOMMENDED``, the ids of the items of the history that it is due to.
        interests: those after the history, or None for models without interests.
        of_history: ``[T]``, category or interest of each item of the history; None without interests.
        of_item: ``[V]``, category or interest of any item; None without interests.
    """

    row: int
    why: str
    history: np.ndarray
    ranked: np.ndarray
    because: list[list[int]]
    interests: HistoryInterests | None
    of_history: np.ndarray | None
    of_item: np.ndarray | None


def examples(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "examples", "Some users"
    if held_out is None:
        return Section(name, heading, missing=why_not)
    category = category_of_items(recommender)
    noun = name_of_interest(recommender.model) if has_interests(recommender.model) else None
    shown = [_read(recommender, held_out, row, why, category) for row, why in choose(held_out)]
    figures = [_timeline(recommender, held_out, one, noun) for one in shown]
    plots = [
        Plot(f"history-{number}", "History", "The items of the history in order.", figure)
        for number, figure in enumerate(figures)
    ]
    data = {
        "noun": noun,
        "role": role_of_interests(recommender.model),
        "num_items": len(recommender.catalog),
        "examples": [_words(recommender, held_out, one) for one in shown],
    }
    return Section(name, heading, data, plots)


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


@torch.no_grad()
def _read(recommender: Recommender, held_out: HeldOut, row: int, why: str, category: np.ndarray | None) -> Example:
    loader, model = held_out.loader, recommender.model
    interaction, excluded, _, _ = loader.collate_fn([row])
    history = interaction[model.ITEM_SEQ][0]
    history = history[history > 0]
    ranked = recommender.rank(interaction, loader.dataset.item_num, excluded).items[0].cpu().numpy()
    ranked = ranked[ranked > 0]
    whole = histories(recommender, held_out, np.array([row]))
    (effects,) = recommender.leave_out.effects(whole, torch.from_numpy(ranked[:RECOMMENDED]).unsqueeze(0))
    interests = of_history = of_item = None
    if has_interests(model):
        interests = interests_of_row(model, interaction.to(recommender.device))
        if category is None:
            of_history = interests.member.cpu().numpy()
            of_item = (model.item_vectors @ interests.vectors.T).argmax(1).cpu().numpy()
        else:
            of_history, of_item = category[history.numpy()], category
    return Example(row, why, history.numpy(), ranked, effects.named(), interests, of_history, of_item)


def _timeline(recommender: Recommender, held_out: HeldOut, example: Example, noun: str | None) -> dict:
    catalog, target = recommender.catalog, int(held_out.target[example.row])
    items = [*example.history.tolist(), target]
    last = len(items) - 1
    lane = [0] * len(items) if noun is None else [*example.of_history.tolist(), int(example.of_item[target])]
    unread = int(held_out.length[example.row]) - last
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [unread + place + 1 for place in range(len(items))],
        "y": lane,
        "marker": {
            "color": [COLORS[0] if noun is None else color(number) for number in lane],
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
    names = [""] if noun is None else [f"{noun} {number}" for number in range(recommender.model.num_interests)]
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "range": [len(names) - 0.4, -0.6],
        "zeroline": False,
        "fixedrange": True,
    }
    return {
        "data": [trace],
        "layout": layout(
            "place in the history",
            "",
            86 + 24 * len(names),
            yaxis=axis,
            xaxis={"showgrid": False, "zeroline": False, "range": [unread + 0.2, unread + len(items) + 0.8]},
            hovermode="closest",
            margin={"l": 56, "r": 16, "t": 4, "b": 44},
        ),
    }


def _words(recommender: Recommender, held_out: HeldOut, example: Example) -> dict:
    """What the template says of an example."""
    catalog, dataset = recommender.catalog, held_out.loader.dataset
    target = int(held_out.target[example.row])
    numbers = [None] * len(catalog.tokens) if example.of_item is None else example.of_item.tolist()
    own = [None] * len(example.history) if example.of_history is None else example.of_history.tolist()

    def item(id_: int, number: int | None) -> dict:
        return {"title": title(catalog, id_), "number": number, "is_next": id_ == target}

    history = [item(id_, number) for id_, number in zip(example.history.tolist(), own)]
    return {
        "why": example.why,
        "user": str(dataset.field2id_token[dataset.uid_field][held_out.user[example.row]]),
        "length": int(held_out.length[example.row]),
        "read": len(history),
        "place": next((int(index) + 1 for index in np.flatnonzero(example.ranked == target)), None),
        "next": item(target, numbers[target]),
        "latest": history[::-1][:LATEST],
        "recommended": [
            {**item(id_, numbers[id_]), "because": because_of(catalog, catalog.tokens[reasons].tolist())}
            for id_, reasons in zip(example.ranked.tolist(), example.because)
        ],
        "interests": [] if example.interests is None else _interests(recommender, example),
    }


def _interests(recommender: Recommender, example: Example) -> list[dict]:
    """What the template says of the interests that an item of the history supports, the most intense one first."""
    read, catalog = example.interests, recommender.catalog
    candidates = torch.from_numpy(example.ranked[:CANDIDATES])
    nearest = ranked_by_interests(recommender.model, read, candidates, NEAREST).tolist()
    num_items = read.member.bincount(minlength=len(nearest)).tolist()
    intensity = read.intensity.tolist()
    return [
        {
            "number": number,
            "percent": f"{intensity[number]:.0%}",
            "width": f"{intensity[number]:.2%}",
            "num_items": num_items[number],
            "spread": None if read.spread is None else f"{float(read.spread[number]):.2f}",
            "nearest": [title(catalog, id_) for id_ in nearest[number]],
        }
        for number in read.supported
    ]
