"""The items on a plane, and their categories."""

from __future__ import annotations

import numpy as np

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.figures import layout
from recbole_sigma.report.html import Section, escape, figure, hover_lines, missing, paragraph, swatch
from recbole_sigma.report.items import category_of_items, item_vectors, title
from recbole_sigma.report.palette import color, symbol
from recbole_sigma.report.projection import LEAST_ITEMS, project

MOST_ITEMS = 2000
TYPICAL = 8


def item_map(recommender: Recommender) -> Section:
    catalog, category = recommender.catalog, category_of_items(recommender)
    vectors, shown = item_vectors(recommender), catalog.by_popularity[:MOST_ITEMS]
    has_categories = category is not None
    heading = "Items and their categories" if has_categories else "Items"
    cards = _categories(recommender) if has_categories else ""
    if vectors is None:
        text = f"{recommender.state['model']} keeps no vectors of items in item_embedding, so that there is no map."
        return Section("items", heading, missing(text) + cards, {})
    if len(shown) < LEAST_ITEMS:
        text = f"There are {len(shown)} items; a map needs at least {LEAST_ITEMS}."
        return Section("items", heading, missing(text) + cards, {})
    groups = category if has_categories else np.zeros(len(vectors), dtype=int)
    text = (
        f"{'The' if len(shown) < len(catalog) else 'All'} {len(shown):,} "
        f"{'most popular ' if len(shown) < len(catalog) else ''}items, placed by t-SNE of the directions of their "
        "vectors: near ones are alike, long distances and the axes mean nothing. Larger points have more training "
        "interactions. "
        + (
            "An item is of the category whose vector its own is most similar to; a click on a name in the legend hides "
            "a category."
            if has_categories
            else f"{recommender.state['model']} learns no categories of items, so that all have one colour."
        )
    )
    place = figure("item-map", "Map of the items", "Scatter plot of the items, coloured by category.", "square")
    figures = {"item-map": _map(recommender, shown, project(vectors[shown]), groups, has_categories)}
    return Section("items", heading, paragraph(text) + place + cards, figures)


def _map(recommender: Recommender, shown: np.ndarray, place: np.ndarray, group: np.ndarray, named: bool) -> dict:
    catalog = recommender.catalog
    size = 4 + 14 * np.sqrt(catalog.popularity[shown] / max(1, catalog.popularity[shown].max()))
    data = []
    for number in np.unique(group[shown]).tolist():
        rows = np.flatnonzero(group[shown] == number)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"category {number}" if named else "items",
                "x": place[rows, 0].round(2).tolist(),
                "y": place[rows, 1].round(2).tolist(),
                "hovertext": [_hover(catalog, id_, number, named) for id_ in shown[rows].tolist()],
                "hoverinfo": "text",
                "marker": {
                    "color": color(number),
                    "symbol": symbol(number),
                    "size": size[rows].round(1).tolist(),
                    "opacity": 0.8,
                    "line": {"width": 0.5, "color": "rgba(127,127,127,0.6)"},
                },
            }
        )
    axis = {"showticklabels": False, "zeroline": False, "showgrid": False}
    return {
        "data": data,
        "layout": layout(
            "first axis of t-SNE (no unit)",
            "second axis of t-SNE (no unit)",
            640,
            xaxis=axis,
            yaxis={**axis, "scaleanchor": "x"},
            showlegend=named,
            legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "itemsizing": "constant"},
            hovermode="closest",
            margin={"l": 36, "r": 8, "t": 8, "b": 36},
        ),
    }


def _hover(catalog, id_: int, number: int, named: bool) -> str:
    name, token = title(catalog, id_), str(catalog.tokens[id_])
    return hover_lines(
        name,
        *([f"item {token}"] if token != name else []),
        *([f"category {number}"] if named else []),
        f"{int(catalog.popularity[id_]):,} training interactions",
    )


def _categories(recommender: Recommender) -> str:
    catalog = recommender.catalog
    categories = recommender.categories(min(TYPICAL, len(catalog)))
    interactions = max(1, sum(category.interactions for category in categories))
    cards = []
    for category in categories:
        typical = "".join(
            f"<li>{escape(title(catalog, id_))} <small>{cosine:.2f}</small></li>"
            for id_, cosine in zip(catalog.ids(category.typical).tolist(), category.similarity)
        )
        cards.append(
            f'<article class="card"><h3>{swatch(category.number)}Category {category.number}</h3>'
            f"<p>{category.size:,} items, {category.interactions / interactions:.0%} of the training interactions</p>"
            f'<ol class="titles">{typical}</ol></article>'
        )
    return (
        "<h3>Typical items</h3>"
        + paragraph("The items most like each category, with the cosine of their vectors and the category's.")
        + f'<div class="cards">{"".join(cards)}</div>'
    )
