"""A program that trains several models on the same batches in turn, and prints the CPU time of their steps as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import time
from statistics import median

import torch

from recbole_sigma.config import Config
from recbole_sigma.quick_start import build_run


def measure(rows: dict, dataset: str, data_path: str | None, threads: int | None, batches: int) -> dict:
    """Time the steps of each model.

    Args:
        rows: by name, a model and its settings; the first one is what the others are compared with.
        batches: number of batches, those of the first epoch of the first model.

    Returns:
        The median of each row's steps in ``ms`` of CPU time and of their ``ratio`` to those of the first row, the
        number of ``batches`` and the mean number of their ``items``.
    """
    if threads:
        torch.set_num_threads(threads)
    logging.disable(logging.WARNING)
    found = {"data_path": data_path} if data_path else {}
    runs = {
        name: build_run(Config(model, dataset, config_dict={**found, **settings}))
        for name, (model, settings) in rows.items()
    }
    first = next(iter(runs.values())).train_data
    data = list(itertools.islice(first.batches(), batches))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run.model.train()
        _step(run, data[0])  # loads libraries and reserves memory
    for batch in data:
        for name, run in runs.items():
            start = time.process_time()
            _step(run, batch)
            times[name].append(1e3 * (time.process_time() - start))
    base = next(iter(times.values()))
    return {
        "rows": {
            name: {"ms": median(own), "ratio": median(mine / other for mine, other in zip(own, base))}
            for name, own in times.items()
        },
        "batches": len(data),
        "items": round(sum(len(batch.items) for batch in data) / len(data)),
    }


def _step(run, batch) -> None:
    run.trainer.optimizer.zero_grad()
    run.model.step_loss(batch, run.train_data.targets_per_batch).total.backward()
    run.trainer.optimizer.step()


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    del sys.argv[1:]  # RecBole's Config would read them
    print(json.dumps(measure(**arguments)))
