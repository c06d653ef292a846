"""A program that measures a search for the items with the largest products, and prints the result as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from statistics import median
from typing import Callable

import faiss
import torch
from torch import Tensor

from benchmarks.speed.measuring import times
from recbole_sigma.evaluation import top_items
from recbole_sigma.recommend.search import ProductIndex

K = 20
TOPICS = 200
Search = Callable[[Tensor, int], Tensor]
"""Indices ``[N, k]`` of items for queries ``[N, D]``."""
At = Callable[[int], Search]
"""Gives the search at a level of effort."""


def measure(what: str, case: dict, levels: list[int], threads: int | None) -> dict:
    """Measure the seconds to build an index, its MB, and at each level of effort the ms per query and Recall@K.

    Args:
        what: "exact", "lists" (the plugin's index), "lists by product", or "graph" (HNSW by product).
        case: ``items``, ``d`` and ``queries``.
        levels: number of lists to search, or efSearch of a graph.
        threads: for torch and faiss, or None for their default.
    """
    if threads:
        torch.set_num_threads(threads)
        faiss.omp_set_num_threads(threads)
    items, queries = made_up(case["items"], case["d"], case["queries"])
    exact = _exact(items)(queries, K)
    start = time.perf_counter()
    index, searches = BUILD[what](items)
    build = time.perf_counter() - start
    result = {"build": build, "size": faiss.serialize_index(index).size / 1e6 if index else 0, "levels": []}
    for level in levels or [0]:
        search = searches(level)
        found = search(queries, K)
        hits = (found.unsqueeze(2) == exact.unsqueeze(1)).any(2).double().mean().item()
        together = min(times(partial(search, queries, K), "cpu", seconds=2, most=5)) / len(queries)
        alone = median(_milliseconds(search, query[None]) for query in queries[:100])
        result["levels"].append({"level": level, "recall": hits, "together": together, "alone": alone})
    return result


def _milliseconds(search: Search, query: Tensor) -> float:
    """The time of a single call. A second call with the same query would find its lists in the cache."""
    start = time.perf_counter()
    search(query, K)
    return 1e3 * (time.perf_counter() - start)


def made_up(num_items: int, size: int, num_queries: int) -> tuple[Tensor, Tensor]:
    """Item vectors ``[V, D]`` of different lengths around topics, and queries ``[N, D]`` around the same topics."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    topics, directions = normal(TOPICS, 16) @ normal(16, size) / 4, normal(16, size) / 4

    def around_topics(count: int) -> Tensor:
        own = topics[torch.randint(TOPICS, (count,), generator=generator)]
        return torch.nn.functional.normalize(own + 0.5 * normal(count, 16) @ directions + 0.2 * normal(count, size))

    return around_topics(num_items) * (0.3 * normal(num_items, 1)).exp(), around_topics(num_queries)


def _exact(items: Tensor) -> Search:
    with_padding = torch.cat([torch.zeros(1, items.shape[1]), items])
    return lambda queries, k: top_items(queries.unsqueeze(1), with_padding, k).items - 1


def _build_exact(items: Tensor) -> tuple[None, At]:
    return None, lambda level: _exact(items)


def _build_lists(items: Tensor) -> tuple[faiss.Index, At]:
    index = ProductIndex(items, 1)

    def at(probes: int) -> Search:
        index._index.nprobe = probes
        return index.search

    return index._index, at


def _build_lists_by_product(items: Tensor) -> tuple[faiss.Index, At]:
    num_lists = round(4 * len(items) ** 0.5)
    index = faiss.index_factory(items.shape[1], f"IVF{num_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(items[:: max(1, len(items) // (40 * num_lists))].contiguous().numpy())
    index.add(items.numpy())

    def at(probes: int) -> Search:
        index.nprobe = probes
        return lambda queries, k: torch.from_numpy(index.search(queries.numpy(), k)[1])

    return index, at


def _build_graph(items: Tensor) -> tuple[faiss.Index, At]:
    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.add(items.numpy())

    def at(effort: int) -> Search:
        index.hnsw.efSearch = effort
        return lambda queries, k: torch.from_numpy(index.search(queries.numpy(), k)[1])

    return index, at


BUILD = {
    "exact": _build_exact,
    "lists": _build_lists,
    "lists by product": _build_lists_by_product,
    "graph": _build_graph,
}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
