"""Models of the plugin."""

from recbole_sigma.model.sigma import SIGMA

MODELS = {"SIGMA": SIGMA}
