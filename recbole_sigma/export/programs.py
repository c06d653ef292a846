"""Encoders as programs: ``torch.export`` traces them once, then they are written in PyTorch's format or as ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim
from torch.nn.attention import SDPBackend, sdpa_kernel

from recbole_sigma.errors import RequestError
from recbole_sigma.export.encoder import Encoder
from recbole_sigma.extras import require

TOLERANCE = 1e-4
"""Largest allowed difference from the model, relative to the largest value."""


def write_torch(encoder: Encoder, path: Path) -> Callable[[Tensor], Tensor]:
    """Write a program for ``torch.export.load`` and return a function that runs it."""
    with _for_export():
        program = io.BytesIO()  # Python writes the file: PyTorch's writer ends the process if the disk is full
        torch.export.save(_trace(encoder), program)
        path.write_bytes(program.getbuffer())
        return torch.no_grad()(torch.export.load(path).module())


def write_onnx(encoder: Encoder, path: Path) -> Callable[[Tensor], Tensor]:
    """Write an ONNX graph and return a function that runs it on a CPU; above 2 GB the weights get a file of their own.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    for module in ("onnx", "onnxscript"):
        require(module, "onnx")
    runtime = require("onnxruntime", "onnx")
    with _for_export():
        program = torch.onnx.export(
            _trace(encoder),
            dynamo=True,
            verbose=False,
            input_names=["item_seq"],
            output_names=[encoder.output],
            dynamic_shapes=({size: dim.__name__ for size, dim in _open_sizes(encoder).items()},),
        )
    for part in (program.model, program.model.graph, *program.model.graph.all_nodes()):
        part.metadata_props.clear()  # the source file of each node, with the names of folders
    program.save(path)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda item_seq: torch.from_numpy(session.run([encoder.output], {"item_seq": item_seq.numpy()})[0])


def difference(encoder: Encoder, run: Callable[[Tensor], Tensor]) -> float:
    """Largest difference between a written program and the model, relative to the largest value.

    Raises:
        RequestError: the program gives other shapes, or values that differ by more than ``TOLERANCE``.
    """
    largest = 0.0
    for item_seq in encoder.histories():
        actual, expected = run(item_seq), encoder.expected(item_seq)
        if actual.shape != expected.shape:
            raise RequestError(f"the written file gives {list(actual.shape)}; expected {list(expected.shape)}")
        error = ((actual - expected).abs().max() / expected.abs().max()).item()
        if not error <= TOLERANCE:
            raise RequestError(f"the written file differs by {error:.1e} of the largest value from the model")
        largest = max(largest, error)
    return largest


def _trace(encoder: Encoder) -> torch.export.ExportedProgram:
    example = torch.ones(2, encoder.max_length, dtype=torch.long)
    program = torch.export.export(encoder, (example,), dynamic_shapes=(_open_sizes(encoder),), strict=False)
    for module in program.graph_module.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # contains the names of folders
    return program


def _open_sizes(encoder: Encoder) -> dict[int, Dim]:
    """Sizes of the input that are open."""
    sizes = {0: Dim("batch", min=1)}
    if encoder.any_length and encoder.max_length > 1:
        sizes[1] = Dim("length", min=1, max=encoder.max_length)
    return sizes


@contextmanager
def _for_export() -> Iterator[None]:
    """Trace without gradients and messages, and with one implementation of attention.

    Otherwise PyTorch 2.13 traces attention with one memory layout, converts it with another one, and fails.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
