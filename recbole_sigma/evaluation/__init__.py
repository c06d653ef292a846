"""Ranking of the whole catalog, in tiles of items and with only the best of them kept."""

from recbole_sigma.evaluation.collector import RankedItems, TopItemsCollector
from recbole_sigma.evaluation.full_sort import rank_catalog
from recbole_sigma.evaluation.ranking import top_items

__all__ = ["RankedItems", "TopItemsCollector", "rank_catalog", "top_items"]
