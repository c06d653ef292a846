"""A program that computes or measures with the code of one tree, and prints what it found as JSON.

Its one argument is the arguments of ``main`` as JSON. This file runs with the code of older commits, so it uses nothing
but what all of them have. It imports torch and all that comes with it late, since some programs measure imports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
import time
from pathlib import Path
from types import ModuleType

CASES = Path(__file__).parents[1] / "tests" / "invariants" / "cases.py"
QUIET = {"show_progress": False, "state": "error", "metric_decimal_place": 16}


def main(tree: str, folder: str, what: str, arguments: dict) -> dict:
    """
    Args:
        tree: the root of the code.
        folder: where to work.
        what: a key of ``PROGRAMS``.
        arguments: of that program.
    """
    tree, arguments = os.path.realpath(tree), dict(arguments)
    sys.path[0] = tree  # in the place of the tree that this file is in
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
    os.chdir(folder)
    found = PROGRAMS[what](**arguments)
    _check_tree(tree)
    return found


def _is_editable(finder: object) -> bool:
    """Whether it finds the tree that is installed in place, whatever ``sys.path`` says."""
    return str(getattr(finder, "__module__", "")).startswith("__editable__")


def _check_tree(tree: str) -> None:
    """Raise ImportError if code or settings of the plugin came from somewhere else."""
    if "recbole_sigma" not in sys.modules:
        return
    parts = [name for name in sys.modules if name.split(".")[0] in ("recbole_sigma", "tests")]
    specs = [importlib.util.find_spec(f"recbole_sigma.{name}") for name in ("properties", "dataset_configs")]
    places = [sys.modules[name].__file__ for name in parts] + [spec.origin for spec in specs if spec]
    for place in places:
        if place and not os.path.realpath(place).startswith(tree + os.sep):
            raise ImportError(f"{place} does not lie in {tree}; expected code of that tree alone")


# Numbers -------------------------------------------------------------------------------------------------------------


def numbers(trainings: dict[str, dict], output: str) -> dict:
    """Write the values of all cases, and of each training by its name, as arrays into one file.

    Several threads add up gradients in any order unless PyTorch is told to be deterministic.
    """
    import numpy as np
    import torch

    import recbole_sigma  # noqa: F401 (it repairs RecBole, which the cases import)

    torch.use_deterministic_algorithms(True, warn_only=True)
    cases, values = _load_cases(), {}
    for name, case in cases.CASES.items():
        values.update({f"case {name}: {part}": value.numpy() for part, value in cases.compute(case).items()})
    for name, training in trainings.items():
        values.update({f"training {name}: {part}": value for part, value in _train(**training).items()})
    np.savez(output, **values)
    return {}


def _load_cases() -> ModuleType:
    """The cases of the tree that this file is in."""
    spec = importlib.util.spec_from_file_location("side_by_side_cases", CASES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _train(model: str, dataset: str, settings: dict) -> dict:
    """The tensors of the checkpoint of a training, and its results, as arrays."""
    import numpy as np
    import torch

    from recbole_sigma import run_recbole_sigma

    result = run_recbole_sigma(model, dataset, config_dict={**QUIET, **settings})
    state = torch.load(result["checkpoint"], weights_only=True)["state_dict"]
    values = {f"state {name}": tensor.numpy() for name, tensor in state.items()}
    for part in ("best_valid_result", "test_result"):
        values.update({f"{part} {metric}": np.float64(value) for metric, value in result[part].items()})
    return {**values, **{part: np.int64(result[part]) for part in ("epochs", "parameters")}}


# Costs ---------------------------------------------------------------------------------------------------------------


def epoch(model: str, dataset: str, settings: dict) -> dict:
    """CPU seconds of the second epoch of a training, peak memory of all of it in MB, and its checkpoint."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from benchmarks.speed.measuring import high_water_mark
    from recbole_sigma import run_recbole_sigma

    after: list[float] = []  # each step
    register_optimizer_step_post_hook(lambda *_: after.append(time.process_time()))
    twice = {"epochs": 2, "eval_step": 2}  # no evaluation between them
    result = run_recbole_sigma(model, dataset, config_dict={**QUIET, **settings, **twice})
    steps = len(after) // 2
    return {
        "cpu": after[-1] - after[steps - 1],
        "memory": high_water_mark() / 1e6,
        "checkpoint": os.path.abspath(result["checkpoint"]),
    }


def imports(name: str) -> dict:
    """CPU seconds to import a package where torch is imported already."""
    start = _after_torch()
    __import__(name)
    return {"cpu": time.process_time() - start}


def command(words: list[str]) -> dict:
    """CPU seconds of ``python -m recbole_sigma`` with these words where torch is imported already."""
    start = _after_torch()
    sys.argv[1:] = words
    try:
        runpy.run_module("recbole_sigma", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    return {"cpu": time.process_time() - start}


def _after_torch() -> float:
    import torch  # noqa: F401

    return time.process_time()


PROGRAMS = {"numbers": numbers, "epoch": epoch, "imports": imports, "command": command}


if __name__ == "__main__":
    given = json.loads(sys.argv.pop())  # RecBole's Config reads them
    print("\n" + json.dumps(main(**given)))
