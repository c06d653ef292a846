"""One run of the package in this process, with what it evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from recbole_sigma import quick_start
from tests.fuzz.files import NAME
from tests.fuzz.made_up import Case

TAIL = 2
METRICS = "Recall NDCG Hit MRR Precision MAP ItemCoverage AveragePopularity ShannonEntropy GiniIndex TailPercentage"
SMALL = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "n_heads": 1,
    "num_categories": 2,
    "embedding_size": 8,
    "MAX_ITEM_LIST_LENGTH": 6,
}


@dataclass
class Listed:
    """An evaluated list: the user, the target of a model of sequences, the ids of all places, and the right ids."""

    user: str
    target: str | None
    items: list[int]
    right: list[int]


@dataclass
class Run:
    """The result of ``run_recbole_sigma``, its parts, and the evaluated lists of validation and test."""

    result: dict
    parts: quick_start.RunParts
    lists: dict[str, list[Listed]] = field(default_factory=dict)

    def token(self, item: int) -> str:
        return str(self.parts.dataset.id2token(self.parts.dataset.iid_field, item))

    def user(self, user: int) -> str:
        return str(self.parts.dataset.id2token(self.parts.dataset.uid_field, user))


def settings(case: Case, folder: Path) -> dict:
    names = set(SMALL)
    if not case.is_sequential:
        names = {"embedding_size"} if case.model == "BPR" else set()
    elif case.model == "SASRec":
        names -= {"num_categories", "embedding_size"}
    else:
        names -= {"embedding_size", *(["num_categories"] if case.model == "SASRecAP" else [])}
    return {
        **{name: SMALL[name] for name in names},
        **case.filters,
        "data_path": str(folder / "dataset"),
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "rating"]},
        "eval_args": {"split": case.split, "group_by": case.group_by, "order": "TO"},
        "remove_seen": case.remove_seen,
        "metrics": METRICS.split(),
        "tail_ratio": TAIL,
        "topk": sorted({1, case.topk}),
        "valid_metric": f"Recall@{case.topk}",
        "metric_decimal_place": 12,
        "epochs": 1,
        "train_batch_size": 16,
        "state": "error",
        "show_progress": False,
        **({"train_neg_sample_args": None} if case.model == "SASRec" else {}),
    }


def run(case: Case, folder: Path) -> Run:
    """Train for an epoch, validate and test."""
    kept, lists = {}, {}
    build = quick_start.build_run

    def build_and_watch(config):
        kept["parts"] = parts = build(config)
        _watch(parts, lists)
        return parts

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(quick_start, "build_run", build_and_watch)
        result = quick_start.run_recbole_sigma(case.model, NAME, config_dict=settings(case, folder))
    return Run({**result, "checkpoint": str(folder / result["checkpoint"])}, kept["parts"], lists)


def _watch(parts, lists: dict) -> None:
    trainer, dataset = parts.trainer, parts.dataset
    evaluate, collect = trainer.evaluate, trainer.eval_collector.eval_batch_collect
    current: list[Listed] = []

    def watched_evaluate(data, *words, **settings):
        current.clear()
        result = evaluate(data, *words, **settings)
        lists.setdefault("test" if data is parts.test_data else "valid", list(current))  # later ones are other rules
        return result

    def watched_collect(ranked, interaction, positive_row, positive_item):
        targets = interaction[dataset.iid_field].tolist() if dataset.iid_field in interaction else None
        for row, user in enumerate(interaction[dataset.uid_field].tolist()):
            current.append(
                Listed(
                    str(dataset.id2token(dataset.uid_field, user)),
                    None if targets is None else str(dataset.id2token(dataset.iid_field, targets[row])),
                    ranked.items[row].tolist(),
                    positive_item[positive_row == row].tolist(),
                )
            )
        return collect(ranked, interaction, positive_row, positive_item)

    trainer.evaluate, trainer.eval_collector.eval_batch_collect = watched_evaluate, watched_collect


@torch.no_grad()
def scores(run: Run, data) -> list[dict[str, float]]:
    """The model's own scores of all items for each row of an evaluation loader, by token."""
    model, num_items = run.parts.model.eval(), run.parts.dataset.item_num
    rows = []
    for interaction, *_ in data:
        values = model.full_sort_predict(interaction.to(model.device)).view(len(interaction), num_items)
        rows += [{run.token(item): score for item, score in enumerate(row) if item} for row in values.tolist()]
    return rows
