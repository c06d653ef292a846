"""The items on a plane, and their categories if the model learns some."""

from __future__ import annotations

import numpy as np

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.figures import hover_lines, layout
from recbole_sigma.report.items import category_of_items, item_vectors, title
from recbole_sigma.report.palette import color, symbol
from recbole_sigma.report.projection import LEAST_ITEMS, project
from recbole_sigma.report.section import Plot, Section

MOST_ITEMS = 2000
TYPICAL = 8


def item_map(recommender: Recommender) -> Section:
    catalog, category = recommender.catalog, category_of_items(recommender)
    vectors, shown = item_vectors(recommender), catalog.by_popularity[:MOST_ITEMS]
    named = category is not None
    no_map, plots = None, []
    if vectors is None:
        no_map = f"{recommender.state['model']} keeps no vectors of items in item_embedding, so there is no map."
    elif len(shown) < LEAST_ITEMS:
        no_map = f"There are {len(shown)} items; a map needs at least {LEAST_ITEMS}."
    else:
        description = "Scatter plot of the items, coloured by category." if named else "Scatter plot of the items."
        groups = category if named else np.zeros(len(vectors), dtype=int)
        figure = _map(recommender, shown, project(vectors[shown]), groups, named)
        plots.append(Plot("item-map", "Map of the items", description, figure))
    data = {
        "no_map": no_map,
        "num_shown": len(shown),
        "all_shown": len(shown) == len(catalog),
        "model": recommender.state["model"],
        "categories": _categories(recommender) if named else [],
    }
    return Section("items", "Items and their categories" if named else "Items", data, plots)


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


def _categories(recommender: Recommender) -> list[dict]:
    catalog = recommender.catalog
    categories = recommender.categories(TYPICAL)
    interactions = max(1, sum(category.interactions for category in categories))
    return [
        {
            "number": category.number,
            "size": category.size,
            "share": f"{category.interactions / interactions:.0%}",
            "typical": [
                (title(catalog, id_), f"{cosine:.2f}")
                for id_, cosine in zip(catalog.ids(category.typical).tolist(), category.similarity)
            ],
        }
        for category in categories
    ]
