"""Ranking of the whole catalog, in tiles of items and with only the best of them kept, and a metric RecBole lacks."""

from recbole_sigma.evaluation.collector import RankedItems, TopItemsCollector
from recbole_sigma.evaluation.diversity import Diversity
from recbole_sigma.evaluation.full_sort import rank_batch, rank_catalog
from recbole_sigma.evaluation.ranking import Ranked, top_items
from recbole_sigma.evaluation.registration import register_metric

register_metric(Diversity)

__all__ = ["Diversity", "Ranked", "RankedItems", "TopItemsCollector", "rank_batch", "rank_catalog", "top_items"]
