"""The models of the plugin by name."""

from recbole_sigma.model.sasrec_ap import SASRecAP
from recbole_sigma.model.sigma import SIGMA

MODELS = {"SIGMA": SIGMA, "SASRecAP": SASRecAP}
