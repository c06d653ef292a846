"""Show recommendations, the items of the history that each of them is due to, and the interests of the user, if any.

Without a history, show the categories of items that the model learnt, if it learns any:

  recbole-sigma explain --checkpoint saved --history "B001 B002"
  recbole-sigma explain --checkpoint saved"""

from __future__ import annotations

import argparse

from recbole_sigma.cli.arguments import add_history, add_recommendation, split_history, split_times
from recbole_sigma.cli.loading import load_named
from recbole_sigma.errors import RequestError
from recbole_sigma.wording import counted

BAR = 20
TAKE_PART = {
    "score": "The interests of the user, which score the items:",
    "context": "The interests of the user, which the model reads when it scores the items:",
}
DESCRIPTION = "A description of the history by interests, which have no part in the scores:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recommendation(parser)
    add_history(parser, "; without it, show the categories of items that the model learnt")
    parser.add_argument(
        "--nearest",
        type=int,
        default=5,
        metavar="N",
        help="items to list for each interest or category (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    if options.history is None and options.times is not None:
        raise RequestError("--times goes with --history")
    recommender = load_named(options)
    if options.history is None:
        _show_categories(recommender, options.nearest)
    else:
        _explain(recommender, options)
    return 0


def _show_categories(recommender, typical: int) -> None:
    for category in recommender.categories(typical):
        print(
            f"category {category.number}: {counted(category.size, 'item')}, "
            f"{counted(category.interactions, 'interaction')}; the most similar items:"
        )
        for name, similarity in zip(recommender.catalog.names(category.typical), category.similarity):
            print(f"  {similarity:6.3f}  {name}")


def _explain(recommender, options: argparse.Namespace) -> None:
    from recbole_sigma.recommend.interests import role_of_interests
    from recbole_sigma.recommend.output import print_recommendation

    history = split_history(options.history, recommender.catalog)
    explanation = recommender.explain(history, options.k, options.nearest, times=split_times(options.times))
    role = role_of_interests(recommender.model)
    if role in TAKE_PART:
        print(TAKE_PART[role])
        _show_interests(recommender, explanation.interests)
        print()
    shown = explanation.recommendation, options.k, explanation.closest_interest, explanation.because
    print_recommendation(recommender, history, *shown)
    if role == "description":
        print(f"\n{DESCRIPTION}")
        _show_interests(recommender, explanation.interests)


def _show_interests(recommender, interests) -> None:
    for interest in interests:
        bar = "#" * round(BAR * interest.intensity)
        spread = "" if interest.spread is None else f"  spread {interest.spread:.3f}"
        print(f"interest {interest.category}  {interest.intensity:6.1%}  {bar.ljust(BAR)}{spread}".rstrip())
        print(f"  of the history: {_names(recommender, interest.items)}")
        print(f"  recommended:    {_names(recommender, interest.nearest)}")


def _names(recommender, tokens: list[str]) -> str:
    return "; ".join(recommender.catalog.names(tokens)) or "nothing"
