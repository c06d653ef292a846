"""Split a data set and make the loaders of training, validation and test."""

from __future__ import annotations

from functools import partial

from recbole.data.utils import create_samplers, get_dataloader
from recbole.sampler import KGSampler, RepeatableSampler, Sampler
from recbole.utils import ModelType

from recbole_sigma.compat import allowing_users_with_every_item
from recbole_sigma.config.keys import has_schedule
from recbole_sigma.data.loaders import CutLoader, FullSortLoader, SampledLoader, SeenItemsSampler, SequenceDataLoader
from recbole_sigma.data.needs import check_loaded
from recbole_sigma.data.negatives import check_negatives
from recbole_sigma.data.seen import KEPT
from recbole_sigma.data.target_rows import TARGET_INDEX
from recbole_sigma.errors import ConfigError, DataError
from recbole_sigma.model.base import NextItemRecommender

PHASES = ["train", "valid", "test"]


def create_loaders(config, dataset) -> tuple:
    """Split the data set by ``eval_args`` and make the loaders.

    Models of the plugin train on whole sequences, models of RecBole on one row per target.

    Args:
        config: the settings, a ``Config``.
        dataset: as ``create_dataset`` returns it.

    Returns:
        Loaders of training, validation and test; None for a validation or test without rows.

    Raises:
        ConfigError: ``topk`` is larger than the catalog, ``train_targets: cut`` or a schedule of the learning rate
            needs sequences and has rows, or other settings that do not fit the data.
        DataError: there is nothing to train on, a column is missing, or no negative can be drawn.
    """
    num_items, longest = dataset.item_num - 1, max(config["topk"])
    if longest > num_items:
        raise ConfigError(
            f"topk asks for {longest} items; expected at most {num_items}, the catalog of {dataset.dataset_name!r}, as "
            f"with --topk={min(num_items, 10)} --valid_metric=Recall@{min(num_items, 10)}"
        )
    check_loaded(config, dataset)
    try:
        datasets = dataset.build()
    except NotImplementedError as error:  # a split that this version of RecBole lacks
        raise DataError(f"eval_args {config['eval_args']}: {error}") from error
    if not len(datasets[0]):
        raise DataError(f"eval_args {config['eval_args']} leave no row of {dataset.dataset_name!r} to train on")
    check_negatives(config, dataset, datasets)
    with allowing_users_with_every_item():
        samplers = create_samplers(config, dataset, datasets)
    train = _train_loader(config, dataset, datasets[0], samplers[0])
    evaluation = [
        _eval_loader(config, datasets, phase, sampler) if len(split) else None
        for phase, split, sampler in zip(PHASES[1:], datasets[1:], samplers[1:])
    ]
    return (train, *evaluation)


def _train_loader(config, dataset, train_set, sampler):
    if issubclass(config.model_class, NextItemRecommender):
        cuts = config["train_targets"] == "cut"
        if TARGET_INDEX in train_set.inter_feat:
            return (CutLoader if cuts else SequenceDataLoader)(config, train_set, shuffle=config["shuffle"])
        if cuts:
            raise ConfigError(
                "train_targets is 'cut', and benchmark_filename names files of rows, which have a target each; "
                "expected train_targets: all"
            )
        if has_schedule(config):
            raise ConfigError(
                f"learning_rate_schedule is {config['learning_rate_schedule']!r} and warmup_epochs is "
                f"{config['warmup_epochs']}, and benchmark_filename names files of rows, which are trained on at a "
                "constant learning rate; expected learning_rate_schedule: constant and warmup_epochs: 0"
            )
    loader = get_dataloader(config, "train")
    if config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
        negatives = config["train_neg_sample_args"]
        kg_sampler = KGSampler(dataset, negatives["distribution"], negatives["alpha"])
        return loader(config, train_set, sampler, kg_sampler, shuffle=True)
    return loader(config, train_set, sampler, shuffle=config["shuffle"])


def _eval_loader(config, datasets, phase: str, sampler) -> FullSortLoader | SampledLoader:
    number = PHASES.index(phase)
    split, earlier = datasets[number], datasets[:number]
    if config["eval_args"]["mode"][phase] == "full":
        return FullSortLoader(config, split, sampler, earlier)
    return SampledLoader(config, split, partial(_eval_sampler, config, datasets, phase, sampler), earlier)


def _eval_sampler(config, datasets, phase: str, sampler, rule: str):
    """What draws the candidates of an evaluation under a rule."""
    if config["eval_args"]["mode"][phase] == "labeled":
        return sampler
    distribution = config[f"{phase}_neg_sample_args"]["distribution"]
    if rule == KEPT:
        return RepeatableSampler(PHASES, datasets[0], distribution).set_phase(phase)
    with allowing_users_with_every_item():
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            list_field = datasets[0].iid_field + config["LIST_SUFFIX"]
            return SeenItemsSampler(PHASES, datasets, distribution, list_field).set_phase(phase)
        return Sampler(PHASES, datasets, distribution).set_phase(phase)
