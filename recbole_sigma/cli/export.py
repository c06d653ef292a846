"""Write the sequential model of a checkpoint, and its items, as files that can be used without this package."""

from __future__ import annotations

import argparse

from recbole_sigma.cli.arguments import add_checkpoint
from recbole_sigma.cli.garbage import without_garbage_collection
from recbole_sigma.export.names import FORMATS

EPILOG = """\
onnx         model.onnx for ONNX Runtime, with items.npy and items.json
torch        model.pt2 for torch.export.load, with items.npy and items.json
safetensors  weights, settings and catalog, for recbole_sigma.export.load_weights
A README.md in the folder says how to use the model. onnx and safetensors need the extras of the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_checkpoint(parser)
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", metavar="FOLDER", help="default: name of the checkpoint and format")
    parser.add_argument("--scores", action="store_true", help="give scores of all items instead of user vectors")
    parser.add_argument("--overwrite", action="store_true", help="replace files in a folder that is not empty")


def run(options: argparse.Namespace) -> int:
    with without_garbage_collection():
        from recbole_sigma.export import export_checkpoint

    result = export_checkpoint(
        options.checkpoint,
        options.format,
        options.output,
        scores=options.scores,
        overwrite=options.overwrite,
        average=options.average,
    )
    for name in result.files:
        path = result.folder / name
        print(f"{path}  {path.stat().st_size / 1e6:,.2f} MB")
    if options.format != "safetensors":
        print(f"largest difference from the model: {result.difference:.1e} of the largest value")
    return 0
