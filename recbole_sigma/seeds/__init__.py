"""A model trained with several seeds, and the average of what they give."""

from recbole_sigma.seeds.run import run_seeds

__all__ = ["run_seeds"]
