"""The rank of each user's test item, for significance tests over users."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import torch


def evaluate_with_ranks(trainer, loader) -> tuple[dict[str, float], np.ndarray]:
    """Evaluate the model of a trainer on a loader, and return the metrics and the rank of each user's item.

    Returns:
        The metrics, and ranks ``[users]`` in the order of the users' ids: 1 for the first item of the ranked list, 0
        for an item that is not among the ``max(topk)`` best.

    Raises:
        ValueError: a user has several rows, or not exactly one test item.
    """
    users, found = [], []
    collector, evaluator = trainer.eval_collector, trainer.evaluator
    collect, evaluate = collector.eval_batch_collect, evaluator.evaluate

    def collect_users(scores, interaction, *positives):
        users.append(interaction[trainer.config["USER_ID_FIELD"]].cpu())
        collect(scores, interaction, *positives)

    def keep_ranking(struct):
        found.append(struct.get("rec.topk").cpu())
        return evaluate(struct)

    collector.eval_batch_collect, evaluator.evaluate = collect_users, keep_ranking
    try:
        metrics = trainer.evaluate(loader, load_best_model=False)
    finally:
        collector.eval_batch_collect, evaluator.evaluate = collect, evaluate
    ids, order = torch.cat(users).sort()
    (ranking,) = found
    if len(ids.unique()) < len(ids) or (ranking[:, -1] != 1).any():
        raise ValueError("expected one row with one test item for each user; use a leave-one-out split")
    hits = ranking[order, :-1]
    ranks = torch.where(hits.any(1), hits.argmax(1) + 1, 0)
    return {name: float(value) for name, value in metrics.items()}, ranks.numpy()


def encode(ranks: np.ndarray) -> str:
    """Encode ranks up to 255 as text."""
    if ranks.max() > 255:
        raise ValueError(f"the largest rank is {ranks.max()}; expected 255 at most")
    return base64.b64encode(zlib.compress(ranks.astype(np.uint8).tobytes(), 9)).decode()


def decode(text: str) -> np.ndarray:
    """Decode the text of ``encode``."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
