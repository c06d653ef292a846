"""Old place of ``training.checkpoint``."""

from recbole_sigma.deprecation import renamed

__getattr__ = renamed(
    __name__, {name: f"recbole_sigma.training.checkpoint:{name}" for name in ("save", "load", "add", "restore")}
)
