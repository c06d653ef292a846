"""Trained models as files that can be used without this package."""

from recbole_sigma.export.exporting import FORMATS, Export, export_checkpoint
from recbole_sigma.export.weights import load_weights

__all__ = ["FORMATS", "Export", "export_checkpoint", "load_weights"]
