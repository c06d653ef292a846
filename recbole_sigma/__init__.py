"""SIGMA as a plugin of RecBole: a sequence VAE whose prior is a mixture of the user's interests."""

from recbole_sigma import compat

compat.apply()

from recbole_sigma.comparison import compare_models  # noqa: E402
from recbole_sigma.config import Config  # noqa: E402
from recbole_sigma.quick_start import run_recbole_sigma  # noqa: E402
from recbole_sigma.recommend import Recommender, load  # noqa: E402
from recbole_sigma.version import __version__  # noqa: E402

__all__ = ["Config", "Recommender", "__version__", "compare_models", "load", "run_recbole_sigma"]
