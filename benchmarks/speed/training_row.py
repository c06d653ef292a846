"""A program that trains and evaluates one model, and prints time, memory and operations as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import time
from typing import Any, Callable, Iterator

import torch
from recbole.config import Config as StockConfig
from recbole.data import create_dataset as stock_dataset
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.measuring import high_water_mark, matrix_rate
from recbole_sigma.config import Config
from recbole_sigma.defaults import read_own
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.precision import autocast
from recbole_sigma.training.epoch import train_on_sequences
from recbole_sigma.training.saving import EpochProgress
from recbole_sigma.training.trainer import trainer_class

RATE_SIZE = 2048
COUNTED_BATCHES = 5
"""Batches whose operations are counted; the other batches are assumed to need as many."""
SIZES = {"hidden_size": 128, "inner_size": 256, "n_heads": 2, "MAX_ITEM_LIST_LENGTH": 50}
EVALUATION = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "metrics": ["Recall", "NDCG"],
    "topk": [20, 40],
    "valid_metric": "Recall@20",
    "eval_batch_size": 512,
}


class FirstBatches:
    """A loader that ends after ``count`` batches."""

    def __init__(self, loader: Any, count: int) -> None:
        self.loader, self.count = loader, min(count, len(loader))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator:
        return itertools.islice(iter(self.loader), self.count)

    def batches(self, first: int) -> Iterator:
        """What the plugin's epoch reads."""
        return itertools.islice(self.loader.batches(first), self.count - first)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def measure(
    row: dict,
    dataset: str,
    data_path: str | None,
    device: str,
    threads: int | None,
    steps: int | None,
) -> dict:
    """Measure one model.

    Args:
        row: a ``Row`` of the benchmark.
        steps: number of batches from which the epoch is extrapolated, or None for a whole epoch.

    Returns:
        Seconds of an ``epoch`` and of an ``evaluation``, matrix ``operations`` (FLOP) and ``targets`` of an epoch, the
        ``rate`` of matrix products in FLOP/s, and the peak ``memory`` of the process in MB.
    """
    if threads:
        torch.set_num_threads(threads)
    logging.disable(logging.INFO)
    make = _stock if row["stock"] else _own
    trainer, train, valid, num_targets = make(row, dataset, {"data_path": data_path} if data_path else {})
    train_epoch = _epoch_of_stock if row["stock"] else _epoch_of_own
    count = min(steps or len(train), len(train))
    train_epoch(trainer, FirstBatches(train, 1))  # loads libraries and starts threads
    counted = FirstBatches(train, COUNTED_BATCHES)
    with FlopCounterMode(display=False) as counter:
        train_epoch(trainer, counted)
    with autocast("float32" if row["stock"] else row["precision"], device):
        bfloat16 = torch.is_autocast_enabled(device)
    rate = matrix_rate(torch.bfloat16 if bfloat16 else torch.float32, device, RATE_SIZE)
    torch.autograd.set_detect_anomaly(bool(row["settings"].get("detect_anomaly")))
    seconds = _seconds(lambda: train_epoch(trainer, FirstBatches(train, count)), device)
    torch.autograd.set_detect_anomaly(False)
    evaluation = min(_seconds(lambda: trainer.evaluate(valid, load_best_model=False), device) for _ in range(2))
    return {
        "epoch": seconds * len(train) / count,
        "evaluation": evaluation,
        "operations": counter.get_total_flops() * len(train) / len(counted),
        "rate": 1e9 * rate,
        "targets": num_targets,
        "memory": high_water_mark() / 1e6,
    }


def _seconds(call: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _own(row: dict, dataset: str, settings: dict) -> tuple:
    layers = 2 if row["model"] == "SASRecAP" else 1
    settings = {
        **settings,
        **SIZES,
        "n_layers": layers,
        "train_batch_size": row["users"],
        "precision": row["precision"],
        **row["settings"],
    }
    config = Config(row["model"], dataset, config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    data = create_dataset(config)
    train, valid, _ = create_loaders(config, data)
    model = config.model_class(config, train.dataset).to(config["device"])
    return trainer_class(config)(config, model), train, valid, round(train.targets_per_batch * len(train))


def _epoch_of_own(trainer: Any, batches: FirstBatches) -> None:
    train_on_sequences(trainer.model, trainer.optimizer, batches, EpochProgress(0), trainer.finite)


def _stock(row: dict, dataset: str, settings: dict) -> tuple:
    own = {**read_own("dataset_configs", dataset), **settings, **SIZES, **EVALUATION}
    own.update(train_batch_size=row["users"], n_layers=2, train_neg_sample_args=None)
    config = StockConfig(model=row["model"], dataset=dataset, config_dict=own)
    init_seed(config["seed"], config["reproducibility"])
    data = stock_dataset(config)
    train, valid, _ = data_preparation(config, data)
    model = get_model(row["model"])(config, train.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], row["model"])(config, model)
    return trainer, train, valid, len(train.dataset)


def _epoch_of_stock(trainer: Any, batches: FirstBatches) -> None:
    trainer._train_epoch(batches, 0)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    del sys.argv[1:]  # RecBole's Config would read them
    print(json.dumps(measure(**arguments)))
