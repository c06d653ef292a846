"""SIGMA as a plugin of RecBole: a sequence VAE whose prior is a mixture of the user's interests."""

from typing import TYPE_CHECKING

from recbole_sigma import import_hook
from recbole_sigma.lazy import lazy_names
from recbole_sigma.version import __version__

if TYPE_CHECKING:
    from recbole_sigma.comparison import compare_models
    from recbole_sigma.config import Config
    from recbole_sigma.quick_start import run_recbole_sigma
    from recbole_sigma.recommend import Recommender, load
    from recbole_sigma.seeds import run_seeds

import_hook.install({"recbole.evaluator.register": ["recbole_sigma.evaluation.diversity"]})

__all__ = ["Config", "Recommender", "__version__", "compare_models", "load", "run_recbole_sigma", "run_seeds"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "comparison": ("compare_models",),
        "config": ("Config",),
        "quick_start": ("run_recbole_sigma",),
        "recommend": ("Recommender", "load"),
        "seeds": ("run_seeds",),
    },
)
