"""A program that loads, filters and splits a data set, makes its loaders, and prints time and memory as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch
from recbole.data import create_dataset as create_recbole
from recbole.data import data_preparation as prepare_recbole

from benchmarks.speed.measuring import high_water_mark
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders

LOADERS = {"recbole_sigma": (create_dataset, create_loaders), "recbole": (create_recbole, prepare_recbole)}
SETTINGS = {
    "user_inter_num_interval": "[5,inf)",
    "item_inter_num_interval": "[5,inf)",
    "MAX_ITEM_LIST_LENGTH": 50,
    "topk": 5,
    "valid_metric": "Recall@5",
}


def measure(loader: str, folder: str, name: str, threads: int | None, memory_limit: float) -> dict:
    """Measure the seconds from the file to the loaders and the peak memory in MB, and count the interactions left.

    Args:
        loader: one of ``LOADERS``.
        folder, name: of the atomic file ``folder/name/name.inter``.
        threads: for torch, or None for its default.
        memory_limit: GB of private memory that the process may take.
    """
    if threads:
        torch.set_num_threads(threads)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_limit * 1e9),) * 2)
    create, prepare = LOADERS[loader]
    config = Config("SIGMA", name, config_dict={**SETTINGS, "data_path": folder})
    start = time.perf_counter()
    dataset = create(config)
    left = dataset.inter_num
    prepare(config, dataset)
    return {"seconds": time.perf_counter() - start, "memory": high_water_mark() / 1e6, "left": left}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
