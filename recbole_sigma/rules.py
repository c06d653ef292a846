"""Rules for the values of settings: small, pure, and independent of RecBole's Config.

A model declares its own as ``rules = {"num_categories": at_least(1), "position": one_of("relative", "rotary")}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Callable

from recbole_sigma.errors import ConfigError, close_matches, did_you_mean


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a predicate."""

    expected: str
    accepts: Callable[[Any], bool]

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError unless ``value`` follows the rule."""
        if not self.accepts(value):
            raise ConfigError(f"{key} is {value!r}; expected {self.expected}")


is_bool = Rule("true or false", lambda value: isinstance(value, bool))
integer = Rule("an integer", lambda value: isinstance(value, Integral) and not isinstance(value, bool))
number = Rule(
    "a finite number", lambda value: isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
)
string = Rule("a string", lambda value: isinstance(value, str))
mapping = Rule("a mapping", lambda value: isinstance(value, Mapping))


def at_least(bound: float) -> Rule:
    """An integer of at least ``bound``; any number of at least ``bound`` if that is a float."""
    kind = integer if isinstance(bound, int) else number
    return Rule(f"{kind.expected} of at least {bound}", lambda value: kind.accepts(value) and value >= bound)


def more_than(bound: float) -> Rule:
    """A number above ``bound``."""
    return Rule(f"{number.expected} above {bound}", lambda value: number.accepts(value) and value > bound)


def interval(text: str) -> Rule:
    """A number in an interval such as ``"[0, 1)"``; a square bracket includes its end, a round one does not."""
    parts = re.fullmatch(r"([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])", text)
    if parts is None:
        raise ValueError(f"interval is {text!r}; expected a form like '[0, 1)'")
    low, high = float(parts[2]), float(parts[3])

    def accepts(value: Any) -> bool:
        return number.accepts(value) and (
            low < value < high or (value == low and parts[1] == "[") or (value == high and parts[4] == "]")
        )

    return Rule(f"a number in {text}", accepts)


def one_of(*choices: Any) -> Rule:
    """A value equal to one of ``choices`` and of the same type: 1 is not True."""
    listed = ", ".join(map(str, choices))
    return Rule(
        f"one of {listed}",
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
    )


def list_of(rule: Rule) -> Rule:
    """A list of at least one value, each of which follows ``rule``."""
    return Rule(
        f"a list, each element {rule.expected}",
        lambda value: isinstance(value, (list, tuple)) and len(value) > 0 and all(map(rule.accepts, value)),
    )


def mapping_to(rule: Rule) -> Rule:
    """A mapping from names to values that follow ``rule``."""
    return Rule(
        f"a mapping from names to values, each {rule.expected}",
        lambda value: (
            isinstance(value, Mapping)
            and all(string.accepts(name) and rule.accepts(item) for name, item in value.items())
        ),
    )


@dataclass(frozen=True)
class SubKeys(Rule):
    """A mapping of which each key is known and has its own rule."""

    rules: Mapping[str, Rule]

    def check(self, key: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, item in value.items():
                if name not in self.rules:
                    raise ConfigError(
                        f"{key} has {name!r}; expected {self.expected}" + did_you_mean(close_matches(name, self.rules))
                    )
                self.rules[name].check(f"{name} in {key}", item)
        super().check(key, value)


def sub_keys(rules: Mapping[str, Rule], example: str, required: tuple[str, ...] = ()) -> SubKeys:
    """Nothing, or a mapping whose keys are among those of ``rules`` and whose values follow them.

    Args:
        example: a valid value, for the message.
        required: keys that the mapping must have.
    """

    def accepts(value: Any) -> bool:
        return value in (None, "None") or (
            isinstance(value, Mapping)
            and all(name in value for name in required)
            and all(name in rules and rules[name].accepts(item) for name, item in value.items())
        )

    return SubKeys(f"a mapping with some of {', '.join(rules)}, as in {example}, or nothing (~)", accepts, rules)


def any_of(*rules: Rule) -> Rule:
    """A value that at least one of ``rules`` accepts."""
    return Rule(" or ".join(rule.expected for rule in rules), lambda value: any(rule.accepts(value) for rule in rules))


def optional(rule: Rule) -> Rule:
    """A value that ``rule`` accepts, or nothing (``~`` in YAML, None in Python)."""
    return Rule(f"{rule.expected} or nothing (~)", lambda value: value is None or rule.accepts(value))


def is_filter(value: Any) -> bool:
    """Whether it is one interval or several, such as ``[4,inf)`` or ``[1,2);(3,5]``."""
    try:
        return all(interval(part.strip()) for part in str(value).split(";"))
    except ValueError:
        return False


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance("a".encode(value), bytes)
    except (LookupError, ValueError):
        return False


_LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
_SEED = Rule("an integer of at least 0 and below 2**32", lambda value: at_least(0).accepts(value) and value < 2**32)
_STATES = ("debug", "info", "warning", "error", "critical")
_DROPOUT = interval("[0, 1)")
_SIZES = re.compile(r".*_size|n_layers|n_heads")
_WEIGHT = at_least(0.0)
_COLUMN = optional(Rule("the name of a column", lambda value: string.accepts(value) and value != ""))
_NAMES = Rule(
    "a list of names", lambda value: isinstance(value, (list, tuple)) and all(string.accepts(name) for name in value)
)
_BUCKETS = Rule(
    "a mapping such as {method: ED, bucket: 10} or {method: LD}",
    lambda value: (
        isinstance(value, Mapping)
        and value.get("method") in ("ED", "LD")
        and (value["method"] == "LD" or at_least(1).accepts(value.get("bucket")))
    ),
)
_CLIP = sub_keys(
    {"max_norm": more_than(0), "norm_type": any_of(more_than(0), one_of(math.inf, "inf"))},
    "{max_norm: 5, norm_type: 2}",
    required=("max_norm",),
)
_NEGATIVES = sub_keys(
    {
        "distribution": one_of("uniform", "popularity", "None", None),
        "sample_num": at_least(1),
        "alpha": _WEIGHT,
        "dynamic": is_bool,
        "candidate_num": at_least(0),
    },
    "{distribution: uniform, sample_num: 1}",
)
_THRESHOLD = Rule(
    "a mapping from one column to a number, such as {rating: 4}",
    lambda value: mapping_to(number).accepts(value) and len(value) == 1,
)
_FILTER = optional(Rule("an interval such as [5,inf)", is_filter))

# Keys of RecBole, its models and overall.yaml whose default does not say by its type what a value may be.
_COMMON = {
    "epochs": at_least(1),
    "train_batch_size": at_least(1),
    "train_batch_tokens": optional(at_least(1)),
    "train_targets": one_of("all", "cut"),
    "min_history": at_least(1),
    "precision": one_of("auto", "float32", "bf16"),
    "torch_compile": is_bool,
    "eval_batch_size": at_least(1),
    "eval_step": at_least(0),
    "stopping_step": at_least(0),
    "learning_rate": more_than(0),
    "learning_rate_schedule": one_of("constant", "cosine"),
    "warmup_epochs": at_least(0.0),
    "weight_decay": at_least(0.0),
    "learner": Rule(f"one of {', '.join(_LEARNERS)}", lambda value: str(value).lower() in _LEARNERS),
    "state": Rule(f"one of {', '.join(_STATES)}", lambda value: str(value).lower() in _STATES),
    "seed": _SEED,
    "seeds": optional(
        Rule(
            "a list of at least two different seeds, each an integer of at least 0 and below 2**32, such as [2020, 2021]",
            lambda value: list_of(_SEED).accepts(value) and 1 < len(value) == len(set(value)),
        )
    ),
    "worker": at_least(0),
    "gpu_id": any_of(at_least(0), string),
    "metrics": any_of(string, list_of(string)),
    "topk": any_of(at_least(1), list_of(at_least(1))),
    "MAX_ITEM_LIST_LENGTH": at_least(1),
    "user_inter_num_interval": _FILTER,
    "item_inter_num_interval": _FILTER,
    "entity_kg_num_interval": _FILTER,
    "relation_kg_num_interval": _FILTER,
    "additional_feat_suffix": optional(any_of(string, list_of(string))),
    "checkpoint": optional(Rule("the path of a checkpoint", lambda value: string.accepts(value) and value != "")),
    "clip_grad_norm": _CLIP,
    "category_field": _COLUMN,
    "title_field": _COLUMN,
    "loss_type": one_of("CE", "BPR", "BCE"),
    "hidden_act": one_of("gelu", "relu", "swish", "tanh", "sigmoid"),
    "initializer_range": _WEIGHT,
    "load_col": optional(mapping_to(any_of(_NAMES, one_of("*")))),
    "unload_col": optional(mapping_to(_NAMES)),
    "unused_col": optional(mapping_to(_NAMES)),
    "val_interval": optional(
        Rule("a mapping of columns to intervals or lists of tokens, such as {rating: \"[4,inf)\"}", mapping.accepts)
    ),
    "threshold": optional(_THRESHOLD),
    "train_neg_sample_args": _NEGATIVES,
    "numerical_features": _NAMES,
    "normalize_field": optional(_NAMES),
    "discretization": optional(mapping_to(_BUCKETS)),
    "preload_weight": optional(mapping_to(string)),
    "benchmark_filename": optional(list_of(string)),
    "encoding": optional(Rule("the name of an encoding of text, such as utf-8", _is_encoding)),
    **{f"alias_of_{name}_id": optional(_NAMES) for name in ("user", "item", "entity", "relation")},
    "rm_dup_inter": optional(one_of("first", "last")),
    "transform": optional(one_of("mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq")),
    # the defaults of RecBole's models allow less than the models do
    "global_ratio": number,
    "spatial_ratio": number,
    "resolution": number,
    "w_max": number,
    "q": number,
    "fredom_type": optional(string),
    "reranker_CAN_NUM": any_of(at_least(1), string),
    "use_proj_bias": any_of(is_bool, integer),
    "xgb_verbose_eval": any_of(is_bool, integer),
}


def rule_for(key: str, value: Any, default: Any) -> Rule | None:
    """The rule for a key that has the same meaning in every model, or else for values of the type of ``default``.

    None if neither exists, as for a default of None, a list or a dict.
    """
    if key in _COMMON:
        return _COMMON[key]
    typical = value if default is None else default
    if "dropout" in key and (number.accepts(typical) or isinstance(typical, list)):
        return list_of(_DROPOUT) if isinstance(typical, list) else _DROPOUT
    if _SIZES.fullmatch(key) and integer.accepts(typical):
        return at_least(1)
    if key.endswith("_weight") and number.accepts(value):
        return _WEIGHT
    for kind, rule in ((bool, is_bool), (int, integer), (float, number), (str, string)):
        if isinstance(default, kind):
            return rule
    return None


def check_settings(rules: Mapping[str, Rule], settings: Any) -> None:
    """Check ``settings[key]`` by the rule of each key.

    Args:
        settings: a dict, or RecBole's Config.

    Raises:
        ConfigError: values that break their rule, one per line.
    """
    problems = []
    for key, rule in rules.items():
        try:
            rule.check(key, settings[key])
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))


def check_multiple(key: str, value: int, of_key: str, of: int) -> None:
    """Raise ConfigError unless ``value``, that of ``key``, is a multiple of ``of``, the value of ``of_key``."""
    if value % of:
        raise ConfigError(f"{key} is {value}; expected a multiple of {of_key} = {of}")
