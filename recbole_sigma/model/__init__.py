"""Models of the plugin."""

from recbole_sigma.model.registry import MODELS
from recbole_sigma.model.sasrec_ap import SASRecAP
from recbole_sigma.model.sigma import SIGMA

__all__ = ["MODELS", "SASRecAP", "SIGMA"]
