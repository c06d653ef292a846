"""Rules for the values of settings."""

import math
import re

import pytest

from recbole_sigma.errors import ConfigError
from recbole_sigma.rules import (
    any_of,
    at_least,
    check_multiple,
    check_settings,
    integer,
    interval,
    is_bool,
    list_of,
    mapping_to,
    more_than,
    number,
    one_of,
    optional,
    rule_for,
    string,
)

ACCEPTED = [
    (is_bool, [True, False], [0, 1, None, "true"]),
    (integer, [0, -3], [True, 1.0, "1", None]),
    (number, [0, 1.5, -2], [True, math.nan, math.inf, "1", None]),
    (mapping_to(integer), [{}, {"a": 1}], [{"a": "1"}, {1: 1}, ["a"], None]),
    (string, ["", "a"], [1, None, ["a"]]),
    (at_least(1), [1, 7], [0, 1.0, True, None]),
    (at_least(0.0), [0, 0.0, 3, 0.5], [-0.1, math.nan, True, "0"]),
    (more_than(0), [1e-9, 1], [0, 0.0, -1, None]),
    (interval("[0, 1)"), [0, 0.0, 0.99], [1, -0.01, True, "0"]),
    (interval("(0,1]"), [1, 1.0, 0.5], [0, 1.01]),
    (interval("(0, inf)"), [0.1, 1e9], [0]),
    (one_of("a", "b"), ["a", "b"], ["A", None, ["a"]]),
    (one_of(1, True), [1, True], [1.0, 2, False]),
    (list_of(at_least(1)), [[1], [3, 4]], [[], [0], 1, [1, "2"]]),
    (any_of(string, integer), ["0", 0], [0.5, None]),
    (optional(at_least(1)), [None, 1], [0]),
]


@pytest.mark.parametrize("rule, valid, invalid", ACCEPTED, ids=[rule.expected for rule, _, _ in ACCEPTED])
def test_a_rule_accepts_valid_values_only(rule, valid, invalid):
    for value in valid:
        rule.check("key", value)
    for value in invalid:
        with pytest.raises(ConfigError, match=re.escape(f"key is {value!r}; expected {rule.expected}")):
            rule.check("key", value)


def test_a_rule_says_in_words_what_is_expected():
    rules = [
        (at_least(1), "an integer of at least 1"),
        (at_least(0.0), "a finite number of at least 0.0"),
        (more_than(0), "a finite number above 0"),
        (interval("[0, 1)"), "a number in [0, 1)"),
        (one_of("relative", "rotary"), "one of relative, rotary"),
        (any_of(integer, list_of(string)), "an integer or a list, each element a string"),
        (mapping_to(number), "a mapping from names to values, each a finite number"),
        (optional(string), "a string or nothing (~)"),
    ]
    assert [rule.expected for rule, _ in rules] == [expected for _, expected in rules]


def test_an_interval_needs_its_brackets_and_numbers():
    for text in ("0, 1", "[0; 1)", "[a, b]", "[0, 1"):
        with pytest.raises(ValueError):
            interval(text)


def test_rules_are_values():
    with pytest.raises(AttributeError):
        integer.expected = "anything"


def test_check_settings_names_every_key_with_an_invalid_value():
    rules = {"num_categories": at_least(1), "position": one_of("relative", "rotary")}
    check_settings(rules, {"num_categories": 4, "position": "rotary", "other": None})
    with pytest.raises(ConfigError) as error:
        check_settings(rules, {"num_categories": 0, "position": 1})
    assert str(error.value).splitlines() == [
        "num_categories is 0; expected an integer of at least 1",
        "position is 1; expected one of relative, rotary",
    ]


def test_check_multiple():
    check_multiple("hidden_size", 64, "n_heads", 2)
    with pytest.raises(ConfigError, match="hidden_size is 63; expected a multiple of n_heads = 2"):
        check_multiple("hidden_size", 63, "n_heads", 2)


def test_rules_that_hold_for_every_model():
    """Each row: a key, a valid value, an invalid value, and the default."""
    rows = [
        ("learning_rate", 1, 0, 0.001),
        ("learning_rate_schedule", "cosine", "linear", "constant"),
        ("warmup_epochs", 0.5, -1, 0),
        ("weight_decay", 0, -0.1, 0.0),
        ("seed", 0, -1, 2020),
        ("seed", 2**32 - 1, 2**32, 2020),
        ("epochs", 1, True, 300),
        ("train_targets", "cut", "last", "all"),
        ("min_history", 4, 0, 1),
        ("checkpoint", "a.pth", 3, None),
        ("n_layers", 2, 2.5, 1),
        ("stopping_step", 0, -1, 10),
        ("eval_step", 0, -1, 1),
        ("eval_batch_size", 1, 0, 512),
        ("MAX_ITEM_LIST_LENGTH", 1, 0, 50),
        ("topk", [1, 5], [5, 0], [10]),
        ("topk", 3, "3", [10]),
        ("metrics", "Recall", 3, ["Recall"]),
        ("learner", "Adam", "adm", "adam"),
        ("state", "debug", "loud", "INFO"),
        ("gpu_id", 1, 0.5, "0"),
        ("user_inter_num_interval", "[5,inf)", "[5,inf", "[0,inf)"),
        ("user_inter_num_interval", "(0,1];[3,4)", "5", "[0,inf)"),
        ("item_inter_num_interval", None, 5, "[0,inf)"),
        ("hidden_dropout_prob", 0, 1, 0.5),
        ("dropout_probs", [0.1, 0], [0.1, 1.0], [0.25, 0.5]),
        ("dropout_unheard_of", 0.5, -0.5, None),
        ("kl_weight", 0, -1e-3, 1e-4),
        ("a_bool", False, 0, True),
        ("an_int", 3, 3.0, 1),
        ("an_int", 3, True, 1),
        ("a_float", 3, "3", 1.0),
        ("a_float", 3, None, 1.0),
        ("a_string", "x", 3, "y"),
        ("load_col", {"inter": ["user_id"], "item": "*"}, {"inter": 5}, None),
        ("unload_col", {"inter": ["rating"]}, {"inter": None}, None),
        ("unused_col", {"inter": ["timestamp"]}, "timestamp", None),
        ("threshold", {"rating": 3}, {"rating": "[4,inf)"}, None),
        ("numerical_features", [], "rating", []),
        ("normalize_field", ["rating"], True, None),
        ("discretization", {"rating": {"method": "ED", "bucket": 3}}, {"rating": {"method": "ED"}}, None),
        ("discretization", {"rating": {"method": "LD"}}, ["rating"], None),
        ("preload_weight", {"ent_id": "ent_vec"}, {"ent_id": {}}, None),
        ("benchmark_filename", ["part1", "part2"], 5, None),
        ("alias_of_item_id", ["similar_id"], "similar_id", None),
        ("encoding", "latin-1", "klingon", None),
        ("encoding", None, "hex", None),
        ("encoding", "utf-8", ["utf-8"], None),
        ("hidden_act", "gelu", "sine", "gelu"),
        ("initializer_range", 0.02, -1, 0.02),
        ("learning_rate", 1e-3, "fast", 0.001),
    ]
    for key, valid, invalid, default in rows:
        rule_for(key, valid, default).check(key, valid)
        with pytest.raises(ConfigError, match=f"{key} is "):
            rule_for(key, invalid, default).check(key, invalid)


def test_there_is_no_rule_without_a_default_that_has_a_type():
    for key, default in [("lgb_params", {"a": []}), ("mlp_hidden_size", [8]), ("beta", None)]:
        assert rule_for(key, default, default) is None
