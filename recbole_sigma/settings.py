"""Old place of the rules for settings."""

from recbole_sigma.deprecation import renamed

_NAMES = (
    "Rule any_of at_least check_settings integer interval is_bool list_of mapping mapping_to more_than number one_of "
    "optional rule_for string"
)

__getattr__ = renamed(__name__, {name: f"recbole_sigma.rules:{name}" for name in _NAMES.split()})
