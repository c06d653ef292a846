"""A program that measures a model and its exports, and prints the result as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

import onnxruntime
import torch
from torch import Tensor

from benchmarks.speed.measuring import times
from recbole_sigma import load
from recbole_sigma.export import export_checkpoint
from recbole_sigma.export.encoder import Encoder

HISTORY = 10
TOGETHER = 128


def measure(checkpoint: str, threads: int | None, seconds: float) -> dict:
    """Measure a model. Returns its number of items, its maximum length, and a row for the model and for each format.

    Args:
        threads: for torch and onnxruntime, or None for their default.
        seconds: limit for each measured time.
    """
    if threads:
        torch.set_num_threads(threads)
    recommender = load(checkpoint, device="cpu")
    encoder = Encoder(recommender.model, scores=False)
    num_items = len(recommender.catalog)
    long = torch.randint(1, num_items + 1, (TOGETHER, encoder.max_length))
    short = long[:1].clone()
    short[:, HISTORY:] = 0
    if encoder.any_length:
        short = short[:, :HISTORY]

    def row(name: str, run: Callable[[Tensor], object]) -> dict:
        with torch.no_grad():
            alone, together = (min(times(lambda: run(seq), "cpu", seconds, 1000)) for seq in (short, long))
        return {"name": name, "alone": alone, "together": together}

    rows = [row("the model", encoder.expected)]
    with tempfile.TemporaryDirectory() as folder:
        for format, load_program in {"onnx": _load_onnx, "torch": _load_torch}.items():
            start = time.perf_counter()
            export = export_checkpoint(checkpoint, format, Path(folder, format))
            seconds_of_export = time.perf_counter() - start
            path = export.folder / export.files[0]
            size = path.stat().st_size / 1e6
            rows.append({**row(format, load_program(path, threads)), "size": size, "export": seconds_of_export})
    return {"items": num_items, "longest": encoder.max_length, "rows": rows}


def _load_onnx(path: Path, threads: int | None) -> Callable[[Tensor], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda item_seq: session.run(None, {"item_seq": item_seq.numpy()})


def _load_torch(path: Path, threads: int | None) -> Callable[[Tensor], object]:
    return torch.export.load(path).module()


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
