"""Metrics of RecBole by their formulas, in plain Python. A list is a sequence of items; 0 is an empty place."""

import math


def filled(items, k):
    return [item for item in items[:k] if item]


def coverage(lists, k, num_items):
    return len({item for items in lists for item in filled(items, k)}) / num_items


def times_listed(lists, k, num_items):
    times = [0] * (num_items + 1)
    for items in lists:
        for item in filled(items, k):
            times[item] += 1
    return times[1:]


def entropy(lists, k, num_items):
    times = times_listed(lists, k, num_items)
    return -sum(n / sum(times) * math.log(n / sum(times)) for n in times if n)


def gini(lists, k, num_items):
    """Half of the relative mean absolute difference, the definition of the Gini coefficient."""
    times = times_listed(lists, k, num_items)
    differences = sum(abs(one - other) for one in times for other in times)
    return differences / (2 * num_items * sum(times))


def mean_over_lists(lists, k, value):
    means = []
    for items in lists:
        own = [value(item) for item in filled(items, k)]
        if own:
            means.append(sum(own) / len(own))
    return sum(means) / len(means)


def average_popularity(lists, k, count):
    return mean_over_lists(lists, k, lambda item: count.get(item, 0))


def tail_items(count, num_items, ratio):
    """The least popular items, of equal ones those with smaller ids: a share of all, or those with at most so many."""
    if isinstance(ratio, int):
        return {item for item in range(1, num_items + 1) if count.get(item, 0) <= ratio}
    ordered = sorted(range(1, num_items + 1), key=lambda item: (count.get(item, 0), item))
    return set(ordered[: max(1, math.floor(round(ratio * num_items, 6)))])


def tail_percentage(lists, k, count, num_items, ratio):
    tail = tail_items(count, num_items, ratio)
    return mean_over_lists(lists, k, lambda item: item in tail)


def hits(items, positives, k):
    return [item in positives for item in filled(items, k)]


def hit(items, positives, k):
    return float(any(hits(items, positives, k)))


def mrr(items, positives, k):
    return next((1 / rank for rank, is_hit in enumerate(hits(items, positives, k), 1) if is_hit), 0.0)


def recall(items, positives, k):
    return sum(hits(items, positives, k)) / len(positives)


def precision(items, positives, k):
    return sum(hits(items, positives, k)) / k


def average_precision(items, positives, k):
    found = hits(items, positives, k)
    total = sum(sum(found[:rank]) / rank for rank in range(1, len(found) + 1) if found[rank - 1])
    return total / min(len(positives), k)


def ndcg(items, positives, k):
    gain = sum(1 / math.log2(rank + 1) for rank, is_hit in enumerate(hits(items, positives, k), 1) if is_hit)
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(positives), k) + 1))


def area_under_curve(positive, negative):
    """Share of the pairs whose positive has the higher score; a tie is half a pair."""
    pairs = [(one > other) + (one == other) / 2 for one in positive for other in negative]
    return sum(pairs) / len(pairs)


def grouped_auc(rows):
    """Rows are dicts of scores by candidate, with the set of positives; a row weighs its number of positives.

    A positive that is no candidate ranks below every candidate.
    """
    total = weight = 0
    for scores, positives in rows:
        own = [scores.get(item, -math.inf) for item in positives]
        others = [score for item, score in scores.items() if item not in positives]
        if own and others:
            total += len(own) * area_under_curve(own, others)
            weight += len(own)
    return total / weight


def log_loss(predicted, label):
    return -sum(math.log(p if y else 1 - p) for p, y in zip(predicted, label)) / len(label)
