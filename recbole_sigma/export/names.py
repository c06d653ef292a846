"""Names of the files that an export writes."""

from __future__ import annotations

MODEL = {"onnx": "model.onnx", "torch": "model.pt2", "safetensors": "model.safetensors"}
FORMATS = tuple(MODEL)
ONNX_WEIGHTS = "model.onnx.data"
"""Weights of a graph that would exceed 2 GB with them."""
SETTINGS, DATA = "settings.json", "data.safetensors"
ITEMS, ITEM_VECTORS = "items.json", "items.npy"
README = "README.md"
ALL = (*MODEL.values(), ONNX_WEIGHTS, SETTINGS, DATA, ITEMS, ITEM_VECTORS, README)
