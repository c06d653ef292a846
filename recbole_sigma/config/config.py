"""RecBole's Config with the plugin's files and checks of keys and values."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from recbole.config import Config as RecBoleConfig
from recbole.evaluator.register import metric_information, metric_types, metrics_dict
from recbole.utils import EvaluatorType, ModelType

from recbole_sigma.config.keys import (
    CONSTANT_RATE,
    NOT_SETTABLE,
    SAVED_DATA,
    declared_keys,
    find_model,
    known_keys,
    own_defaults,
    owners,
)
from recbole_sigma.config.reading import overlay, parse, preset_model, read_user_file, split_argv
from recbole_sigma.defaults import Loader, read_own
from recbole_sigma.errors import ConfigError, close_matches, did_you_mean
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.rules import check_multiple, check_settings, list_of, number, rule_for

# Not for RecBole's context-aware models, which it trains on labels and evaluates by AUC.
_FOR_RANKING = ("eval_args", "metrics", "valid_metric", "val_interval")


class Config(RecBoleConfig):
    """RecBole's Config that also reads the plugin's YAML files, and checks every key and value.

    Args:
        model: name or class of the model; by default the key ``model`` of the settings below.
        dataset: name of the data set; by default the key ``dataset``.
        config_file_list: YAML files or presets; later ones win. ``eval_args`` is merged key by key with the value that
            it overrides.
        config_dict: settings that win over the files.
        argv: words of a command line, ``--key=value``, ``--key value`` or ``--flag``, which win over everything.
            ``sys.argv`` itself is never read.
        companions: other models that are given the same settings. A key that one of them knows, and this model does
            not, is ignored instead of raising an error, and so are presets of one of them. The schedule of the
            learning rate is a key that only the plugin's models know.

    Strings in ``config_dict`` and ``argv`` are read as YAML (``1e-4`` is a number, ``[5, 10]`` a list). They stay
    strings if they are no YAML value, or if the default is a string.

    Attributes:
        checked_for: model class whose rules all values follow; None once ``config[key] = value`` has changed one. A
            model of the plugin that is built from a Config that was not checked for it checks its settings itself.

    Raises:
        ConfigError: unknown keys and invalid values.
    """

    checked_for: type | None = None

    def __init__(
        self,
        model=None,
        dataset=None,
        config_file_list=None,
        config_dict=None,
        argv: Sequence[str] = (),
        companions: Sequence[Any] = (),
    ):
        self._argv = tuple(argv)
        self._companions = tuple(companions)
        self._origins: dict[str, str] = {}
        self._flags: set[str] = set()
        self._texts: dict[str, str] = {}
        try:
            super().__init__(model, dataset, config_file_list, config_dict)
        except ConfigError:
            raise
        except KeyError as error:
            raise ConfigError(f"missing key {error}") from error
        except (ValueError, TypeError, RuntimeError) as error:
            raise ConfigError(str(error)) from error

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if key != "run_id":  # no setting
            self.checked_for = None

    def plain_dict(self) -> dict[str, Any]:
        """The final settings as plain data, for checkpoints and JSON."""
        return _plain(self.final_config_dict)

    # Reading ---------------------------------------------------------------------------------------------------

    def _build_yaml_loader(self):
        return Loader

    def _convert_config_dict(self, config_dict):
        self._texts.update((key, value) for key, value in config_dict.items() if isinstance(value, str))
        return {key: parse(key, value) for key, value in config_dict.items()}

    def _load_config_files(self, file_list):
        settings: dict[str, Any] = {}
        companions = {getattr(model, "__name__", model) for model in self._companions}
        for path in [file_list] if isinstance(file_list, (str, os.PathLike)) else file_list or []:
            if preset_model(path) in companions:
                continue
            layer = read_user_file(path)
            self._origins.update(dict.fromkeys(layer, f"in {path}"))
            overlay(settings, layer)
        return settings

    def _load_variable_config_dict(self, config_dict):
        self._origins.update(dict.fromkeys(config_dict or {}, "in config_dict"))
        return super()._load_variable_config_dict(config_dict)

    def _load_cmd_line(self):
        given, self._flags = split_argv(self._argv)
        self._origins.update(dict.fromkeys(given, "on the command line"))
        return self._convert_config_dict(given)

    def _merge_external_config_dict(self):
        self.external_config_dict = {}
        for layer in (self.file_config_dict, self.variable_config_dict, self.cmd_config_dict):
            overlay(self.external_config_dict, layer)

    def _get_model_and_dataset(self, model, dataset):
        model = self.external_config_dict.get("model") if model is None else model
        dataset = self.external_config_dict.get("dataset") if dataset is None else dataset
        for key, value, example in (("model", model, "SIGMA"), ("dataset", dataset, "ml-100k")):
            if value is None or value == "":
                raise ConfigError(
                    f"no {key} is given; expected one as --{key}={example} on the command line, as {key}: {example} "
                    f"in a YAML file, or as Config({key}={example!r})"
                )
        if not isinstance(dataset, str):
            raise ConfigError(f"dataset is {dataset!r}; expected a name: put it in quotes")
        model_class = model if isinstance(model, type) else find_model(model)
        if model_class.type == ModelType.DECISIONTREE:
            raise ConfigError(
                f"model {model_class.__name__} is a tree model, which is not trained in steps; expected another model"
            )
        return super()._get_model_and_dataset(model_class, dataset)

    def _load_internal_config_dict(self, model, model_class, dataset):
        super()._load_internal_config_dict(model, model_class, dataset)
        for layer in (
            read_own("properties", "overall"),
            read_own("properties", "sequential") if model_class.type == ModelType.SEQUENTIAL else {},
            own_defaults(model_class),
            read_own("dataset_configs", dataset),
        ):
            if model_class.type == ModelType.CONTEXT:
                layer = {key: value for key, value in layer.items() if key not in _FOR_RANKING}
            # Merged, because RecBole's files name the features that some models need, and ours interactions alone.
            overlay(self.internal_config_dict, layer, merged=("eval_args", "load_col"))

    def _get_final_config_dict(self):
        given = self.external_config_dict
        for key in self._keys_of_companions():
            for place in (given, self._origins, self._texts):
                place.pop(key, None)
            self._flags.discard(key)
        for key, text in self._texts.items():  # such as --gpu_id=1
            if isinstance(self.internal_config_dict.get(key), str) and isinstance(given[key], (bool, int, float)):
                given[key] = text
        final = dict(self.internal_config_dict)
        overlay(final, given)
        if "train_neg_sample_args" not in given and self._needs_no_negatives(final):
            final["train_neg_sample_args"] = None
        if "load_col" not in given:
            names = {
                "user_id": final["USER_ID_FIELD"],
                "item_id": final["ITEM_ID_FIELD"],
                "rating": final["RATING_FIELD"],
                "timestamp": final["TIME_FIELD"],
            }
            final["load_col"] = {
                suffix: [names.get(column, column) for column in columns]
                for suffix, columns in final["load_col"].items()
            }
        return final

    def _needs_no_negatives(self, settings: dict) -> bool:
        """Models that are trained on targets and the whole catalog, and those that read the interactions once."""
        if self.model_class.type == ModelType.SEQUENTIAL:
            return not hasattr(self.model_class, "input_type") and settings.get("loss_type") == "CE"
        return self.model_class.type == ModelType.TRADITIONAL

    def _keys_of_companions(self) -> set[str]:
        models = [model if isinstance(model, type) else find_model(model) for model in self._companions]
        if not models:
            return set()
        others = set().union(*map(known_keys, models)) - known_keys(self.model_class)
        if not _is_own(self.model_class) and any(map(_is_own, models)):
            others.update(CONSTANT_RATE)
        return others

    # Checking --------------------------------------------------------------------------------------------------

    def _set_default_parameters(self):
        self._check_keys()
        self._check_values()
        self._check_columns()
        self._check_metrics()
        self._check_eval_args()
        super()._set_default_parameters()
        final = self.final_config_dict
        own_copy = os.path.join(str(self.external_config_dict.get("data_path", "")), self.dataset)
        if self.dataset == "ml-100k" and os.path.isfile(os.path.join(own_copy, "ml-100k.inter")):
            final["data_path"] = own_copy  # RecBole would take the copy in its package
        final["show_progress"] = final["show_progress"] and sys.stderr.isatty()
        self._check_valid_metric()
        self._check_seen()
        self._check_schedule()
        self._check_model()

    def _check_keys(self):
        name, known = self.model, declared_keys(self.model_class)
        if not self._origins.keys() <= known:
            known = known_keys(self.model_class)
        problems = []
        for key, origin in self._origins.items():
            if key in SAVED_DATA and self.external_config_dict[key]:
                problems.append(f"{key} ({origin}) is not supported; remove it: every run loads its own data")
            if key in known:
                continue
            if key in NOT_SETTABLE:
                hint = f"cannot be set; remove it: {NOT_SETTABLE[key]}"
            elif owners(key):
                hint = f"is a key of {owners(key)}, not of {name}"
            else:
                hint = "is not known" + did_you_mean(close_matches(key, known))
            problems.append(f"{key} ({origin}) {hint}")
        if problems:
            raise ConfigError("\n".join(problems))

    def _check_values(self):
        """Check the values of all keys that the user gives and of those that the model has rules for."""
        defaults = self.internal_config_dict
        for key in sorted(self._flags):
            if not isinstance(defaults.get(key), bool):
                raise ConfigError(f"--{key} has no value; expected --{key}=VALUE")
        rules = {key: rule_for(key, value, defaults.get(key)) for key, value in self.external_config_dict.items()}
        rules.update(getattr(self.model_class, "rules", {}))
        check_settings({key: rule for key, rule in rules.items() if rule is not None}, self)

    def _check_columns(self):
        setting_of_name: dict[str, str] = {}
        for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "ITEM_LIST_LENGTH_FIELD"):
            name = self.final_config_dict[key]
            if setting_of_name.setdefault(name, key) != key:
                raise ConfigError(f"{key} is {name!r}, as {setting_of_name[name]} is; expected two different columns")

    def _check_metrics(self):
        final = self.final_config_dict
        for metric in [final["metrics"]] if isinstance(final["metrics"], str) else final["metrics"]:
            if metric.lower() not in metric_types:
                names = [cls.__name__ for cls in metrics_dict.values()]
                raise ConfigError(
                    f"metrics has {metric!r}; expected some of {', '.join(sorted(names))}"
                    + did_you_mean(close_matches(metric, names))
                )
            if "data.item_categories" in metric_information[metric.lower()] and not final.get("category_field"):
                raise ConfigError(
                    f"metrics has {metric!r}, and category_field is not set; expected the column of the .item file "
                    "with the categories of items, as in --category_field=genre"
                )

    def _check_eval_args(self):
        args, metrics = self.final_config_dict["eval_args"], self.final_config_dict["metrics"]
        if not isinstance(args, dict):
            raise ConfigError(f"eval_args is {args!r}; expected a mapping with split, order, group_by and mode")
        unknown = sorted(map(str, args.keys() - {"split", "order", "group_by", "mode"}))
        if unknown:
            raise ConfigError(
                f"eval_args has {', '.join(unknown)}; expected split, order, group_by and mode"
                + did_you_mean(close_matches(unknown[0], ("split", "order", "group_by", "mode")))
            )
        _check_split(args.get("split"))
        order = args.get("order")
        if order not in ("RO", "TO"):
            raise ConfigError(f"order in eval_args is {order!r}; expected RO (random) or TO (by time)")
        if args.get("mode") == "labeled" and self.model_class.type != ModelType.CONTEXT:
            raise ConfigError("mode in eval_args is 'labeled'; expected full, uniN or popN: this model ranks items")
        if order == "RO" and self.model_class.type == ModelType.SEQUENTIAL:
            raise ConfigError("order in eval_args is 'RO'; expected TO (by time) for a sequential model")
        if str(args.get("group_by")).lower() not in ("none", "user"):
            raise ConfigError(f"group_by in eval_args is {args['group_by']!r}; expected user or none")
        mode = args.get("mode", "full")
        for value in mode.values() if isinstance(mode, dict) else [mode]:
            if not isinstance(value, str) or not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d*", value):
                raise ConfigError(
                    f"mode in eval_args is {value!r}; expected full, labeled, uniN or popN (N negatives, as in uni100)"
                )
        ranked = [name for name in ([metrics] if isinstance(metrics, str) else metrics) if metric_types[name.lower()] == EvaluatorType.RANKING]
        if ranked and "labeled" in (mode.values() if isinstance(mode, dict) else [mode]):
            raise ConfigError(
                f"mode in eval_args is 'labeled', which ranks no items, and metrics has {ranked[0]!r}; expected some of "
                "AUC, LogLoss, MAE and RMSE, or mode: full"
            )
        if isinstance(mode, dict) and not mode.keys() <= {"valid", "test"}:
            raise ConfigError(f"mode in eval_args is {mode!r}; expected one mode, or a mapping with valid and test")

    def _check_valid_metric(self):
        final = self.final_config_dict
        possible = []
        for metric in final["metrics"]:
            ranked = metric_types[metric.lower()] == EvaluatorType.RANKING and metric.lower() != "gauc"
            possible += [f"{metric}@{k}" for k in final["topk"]] if ranked else [metric]
        if final["valid_metric"].lower() not in map(str.lower, possible):
            raise ConfigError(
                f"valid_metric is {final['valid_metric']!r}; expected one of metrics and topk: {', '.join(possible)}"
            )

    def _check_seen(self):
        final = self.final_config_dict
        if final.get("remove_seen") and final["repeatable"] and self.model_class.type != ModelType.SEQUENTIAL:
            raise ConfigError(
                "repeatable is true, which ranks items seen before, but remove_seen excludes them; set remove_seen: "
                "false as well"
            )

    def _check_schedule(self):
        final = self.final_config_dict
        if not _is_own(self.model_class):
            for key, value in CONSTANT_RATE.items():
                if final[key] != value:
                    raise ConfigError(
                        f"{key} is {final[key]!r}; expected {value} for {self.model}: RecBole trains its models at a "
                        "constant learning rate, and only the plugin's models follow a schedule"
                    )
        elif final["warmup_epochs"] > final["epochs"]:
            raise ConfigError(
                f"warmup_epochs is {final['warmup_epochs']}; expected at most epochs = {final['epochs']}, in which the "
                "training ends"
            )

    def _check_model(self):
        final = self.final_config_dict
        hidden_size, n_heads = final.get("hidden_size"), final.get("n_heads")
        if hasattr(self.model_class, "check_combination"):
            self.model_class.check_combination(self)
        elif isinstance(hidden_size, int) and isinstance(n_heads, int):
            check_multiple("hidden_size", hidden_size, "n_heads", n_heads)
        self.checked_for = self.model_class

    # Device ----------------------------------------------------------------------------------------------------

    def _init_device(self):
        """As RecBole; besides, ``use_gpu`` counts, and without a GPU the environment stays unchanged."""
        final = self.final_config_dict
        final["gpu_id"] = str(final["gpu_id"]) if final["use_gpu"] else ""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = final["gpu_id"]  # before torch looks at the devices
        try:
            super()._init_device()
        finally:
            if getattr(final.get("device"), "type", "cpu") == "cpu":
                del os.environ["CUDA_VISIBLE_DEVICES"]
                if visible is not None:
                    os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _is_own(model_class: type) -> bool:
    """Whether a model is one of the plugin's."""
    return issubclass(model_class, NextItemRecommender)


def _check_split(split: Any) -> None:
    ratios = list_of(number)
    kind, value = next(iter(split.items())) if isinstance(split, dict) and len(split) == 1 else (None, None)
    if kind == "LS" and value in ("valid_and_test", "valid_only", "test_only"):
        return
    if kind in ("RS", "TS") and ratios.accepts(value) and len(value) == 3 and min(value) >= 0 and sum(value) > 0:
        return
    raise ConfigError(
        f"split in eval_args is {split!r}; expected one of {{LS: valid_and_test}} (or valid_only, test_only), "
        "{RS: [0.8, 0.1, 0.1]} and {TS: [0.8, 0.1, 0.1]}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a number of NumPy
        return value.item()
    return value if isinstance(value, (type(None), bool, int, float, str)) else str(value)
