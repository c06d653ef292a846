"""Ranking of the whole catalog, in tiles of items and with only the best of them kept, and a metric RecBole lacks."""

from typing import TYPE_CHECKING

from recbole_sigma.lazy import lazy_names

if TYPE_CHECKING:
    from recbole_sigma.evaluation.collector import TopItemsCollector
    from recbole_sigma.evaluation.diversity import Diversity
    from recbole_sigma.evaluation.full_sort import has_vectors, log_probabilities, rank_batch, rank_catalog
    from recbole_sigma.evaluation.ranking import Ranked, RankedItems, top_items

__all__ = [
    "Diversity",
    "Ranked",
    "RankedItems",
    "TopItemsCollector",
    "has_vectors",
    "log_probabilities",
    "rank_batch",
    "rank_catalog",
    "top_items",
]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "collector": ("TopItemsCollector",),
        "diversity": ("Diversity",),
        "full_sort": ("has_vectors", "log_probabilities", "rank_batch", "rank_catalog"),
        "ranking": ("Ranked", "RankedItems", "top_items"),
    },
)
