"""The result of a test under the other rules for items seen before, where repeats make a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging import getLogger

from recbole.utils import EvaluatorType

from recbole_sigma.data.repeats import highest_recall, repeats
from recbole_sigma.data.seen import KEPT, RECBOLE, REMOVED, RULES

FEW_REPEATS = 0.01
"""Up to this share of the test targets, the rule makes little difference and the test is made under one rule."""


def results_by_rule(trainer, loader, rules: Sequence[str] = RULES) -> dict[str, dict[str, float]]:
    """Evaluate the model of a trainer on a loader under each of some rules; candidates that are sampled are drawn anew.

    Args:
        loader: a ``FullSortLoader`` or a ``SampledLoader``, which keeps its own rule.
        rules: of ``data.seen.RULES``.

    Returns:
        The metrics by rule.
    """
    results = {}
    with _without_wandb(trainer):
        for rule in rules:
            with loader.under(rule):
                result = trainer.evaluate(loader, load_best_model=False)
            results[rule] = {metric: float(value) for metric, value in result.items()}
    return results


@contextmanager
def _without_wandb(trainer) -> Iterator[None]:
    """RecBole writes each evaluation there under the same names, so that the last one would stand for the test."""
    logger = trainer.wandblogger
    logs, logger.log_wandb = logger.log_wandb, False
    try:
        yield
    finally:
        logger.log_wandb = logs


def compare_rules(trainer, loader, result: dict[str, float] | None) -> dict[str, dict[str, float]] | None:
    """The result of a test under every rule, with a warning, if repeats are more than few and are removed.

    Args:
        loader: of the test, or None.
        result: of the test.

    Returns:
        The metrics by rule, or None where nothing had to be computed.
    """
    ranks = trainer.config["eval_type"] == EvaluatorType.RANKING
    if not loader or not result or not ranks or loader.rule != REMOVED:
        return None
    num_targets, num_repeats = repeats(loader)
    if num_repeats <= FEW_REPEATS * num_targets:
        return None
    results = {REMOVED: result, **results_by_rule(trainer, loader, [KEPT, RECBOLE])}
    highest = ", ".join(f"{highest_recall(loader, k):.4f} for Recall@{k}" for k in trainer.config["topk"])
    getLogger().warning(
        f"{num_repeats:,} of {num_targets:,} test targets ({num_repeats / num_targets:.1%}) are items that the user "
        "had before. With remove_seen: true they are never recommended, so they are misses. The highest values that "
        f"this allows: {highest}.\n"
        f"test result if nothing is removed (remove_seen: false): {_listed(results[KEPT])}\n"
        f"test result by RecBole's rule (seen items removed, a repeated target kept): {_listed(results[RECBOLE])}\n"
        "Where people take the same things again, as with groceries, music or clicks, set remove_seen: false. Where "
        "they buy a thing once, true is right. RecBole's rule is for comparing with published numbers of RecBole; no "
        "recommender can reach its hits on repeats."
    )
    return results


def _listed(result: dict[str, float]) -> str:
    return ", ".join(f"{metric} {value:.4f}" for metric, value in result.items())
