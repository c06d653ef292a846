"""Trained models as files that run without the plugin."""

from recbole_sigma.export.exporting import FORMATS, Export, export_checkpoint
from recbole_sigma.export.weights import load_weights

__all__ = ["FORMATS", "Export", "export_checkpoint", "load_weights"]
