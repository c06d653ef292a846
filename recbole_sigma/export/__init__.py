"""Trained models as files that can be used without this package."""

from typing import TYPE_CHECKING

from recbole_sigma.lazy import lazy_names

if TYPE_CHECKING:
    from recbole_sigma.export.exporting import Export, export_checkpoint
    from recbole_sigma.export.names import FORMATS
    from recbole_sigma.export.weights import load_weights

__all__ = ["Export", "FORMATS", "export_checkpoint", "load_weights"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "exporting": ("Export", "export_checkpoint"),
        "names": ("FORMATS",),
        "weights": ("load_weights",),
    },
)
