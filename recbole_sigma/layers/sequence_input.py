"""Old place of ``SequenceInput``."""

from recbole_sigma.deprecation import renamed

__getattr__ = renamed(__name__, {"SequenceInput": "recbole_sigma.layers.transformer:SequenceInput"})
