"""Metrics of ranked lists.

``lists`` are the first k places of each question, which hold fewer than k items if no others can be recommended;
``right`` are the sets of right items; ``popularity`` counts training interactions of all items of the catalog.
"""

from __future__ import annotations

from collections import Counter
from math import log, log2


def hits(items, right):
    return [item in right for item in items]


def recall(items, right, k):
    """Share of the right items that are in the list."""
    return sum(hits(items, right)) / len(right)


def hit(items, right, k):
    """1 if a right item is in the list."""
    return float(any(hits(items, right)))


def precision(items, right, k):
    """Share of the k places that have a right item."""
    return sum(hits(items, right)) / k


def mrr(items, right, k):
    """1 over the place of the first right item."""
    places = [place for place, is_right in enumerate(hits(items, right), 1) if is_right]
    return 1 / places[0] if places else 0.0


def average_precision(items, right, k):
    """Sum of the precision at each place with a right item, over the most places that could have one."""
    found = hits(items, right)
    total = sum(sum(found[:place]) / place for place, is_right in enumerate(found, 1) if is_right)
    return total / min(len(right), k)


def ndcg(items, right, k):
    """Sum of 1 / log2(1 + place) over the places with a right item, divided by that of the best list."""
    gain = sum(1 / log2(1 + place) for place, is_right in enumerate(hits(items, right), 1) if is_right)
    return gain / sum(1 / log2(1 + place) for place in range(1, min(len(right), k) + 1))


OF_LISTS = {
    "recall": recall,
    "hit": hit,
    "precision": precision,
    "mrr": mrr,
    "map": average_precision,
    "ndcg": ndcg,
}


def item_coverage(lists, popularity):
    """Share of the catalog that is in at least one list."""
    return len({item for items in lists for item in items}) / len(popularity)


def shannon_entropy(lists, popularity):
    """-sum p log p in nats, where p is the share of an item among all recommendations."""
    count = Counter(item for items in lists for item in items)
    total = sum(count.values())
    return -sum(number / total * log(number / total) for number in count.values())


def gini_index(lists, popularity):
    """Inequality of the numbers of recommendations of all items of the catalog: 0 if all are equal.

    sum over i of (2 i - n - 1) P(i) / (n sum P), with P in growing order.
    """
    count = Counter(item for items in lists for item in items)
    numbers = sorted(count[item] for item in popularity)
    n = len(numbers)
    return sum((2 * place - n - 1) * number for place, number in enumerate(numbers, 1)) / (n * sum(numbers))


def mean_of_list(values_of, lists):
    means = [sum(map(values_of, items)) / len(items) for items in lists if items]
    return sum(means) / len(means)


def average_popularity(lists, popularity):
    """Mean popularity of the items of a list, and the mean of that over the lists that have any."""
    return mean_of_list(popularity.__getitem__, lists)


OF_ALL = {
    "itemcoverage": item_coverage,
    "shannonentropy": shannon_entropy,
    "giniindex": gini_index,
    "averagepopularity": average_popularity,
}


def tail_percentage(lists, popularity, most):
    """Mean share of a list that is items with at most ``most`` training interactions (``tail_ratio`` above 1)."""
    return mean_of_list(lambda item: popularity[item] <= most, lists)


def evaluate(lists, right, popularity, topk, tail):
    """All metrics by their names, such as ``recall@5``; ``lists`` have up to ``max(topk)`` items."""
    result = {}
    for k in topk:
        first = [items[:k] for items in lists]
        for name, metric in OF_LISTS.items():
            result[f"{name}@{k}"] = sum(metric(*pair, k) for pair in zip(first, right)) / len(lists)
        if any(first):
            for name, metric in OF_ALL.items():
                result[f"{name}@{k}"] = metric(first, popularity)
            result[f"tailpercentage@{k}"] = tail_percentage(first, popularity, tail)
    return result
