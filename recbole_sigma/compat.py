"""Repairs that RecBole 1.2.x needs to run, and to be right, on current NumPy, pandas, SciPy and PyTorch.

There is one function per fault. Its docstring names the file and line in RecBole 1.2.1 and says what breaks there. A
repair is applied only if the installed versions have the fault. Repairs change RecBole's own names only: if RecBole
uses something that a library has removed, the module of RecBole gets an overlay of that library, a module that defines
a few names itself and takes all others from the library. ``import_hook`` applies the repairs of a module right after
the module is imported.
"""

import builtins
import functools
import importlib
import sys
import types
import warnings
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

import numpy as np
import pandas as pd
import recbole
import torch
from scipy import sparse

_REPAIRS: dict = defaultdict(list)  # name of a module: its repairs, in the order of this file
_DONE = "_recbole_sigma_repairs"  # attribute of a repaired module: the names of the repairs that were applied


def repair(*modules, needed=lambda: True, during=None):
    """Decorator: the function, which takes a module, repairs these modules, named by their paths below ``recbole``.

    Args:
        needed: whether the installed versions have the fault.
        during: makes a context in which the module's own code and then its repairs run.
    """

    def register(function):
        function.needed, function.during = needed, during
        for name in modules:
            _REPAIRS[f"recbole.{name}"].append(function)
        return function

    return register


def repair_loaded():
    """Repair the RecBole modules that were imported before the plugin."""
    for name in _REPAIRS:
        if name in sys.modules and not hasattr(sys.modules[name], _DONE):
            _mend(sys.modules[name], _due(name))


def execute(module, run):
    """Run the code of a RecBole module by ``run(module)``, and the repairs of the module after it."""
    due = _due(module.__name__)
    with ExitStack() as stack:
        for function in due:
            if function.during is not None:
                stack.enter_context(function.during())
        run(module)
        _mend(module, due)


def _due(name):
    return [function for function in _REPAIRS.get(name, ()) if function.needed()]


def _mend(module, due):
    for function in due:
        function(module)
    if module.__name__ in _REPAIRS:
        setattr(module, _DONE, tuple(function.__name__ for function in due))


class _Overlay(types.ModuleType):
    """A module with a few names of its own; all other names are looked up in the real module when they are used."""

    def __init__(self, real, **names):
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(names, _real=real)

    def __getattr__(self, name):
        return getattr(self._real, name)


def _overlay(module, name, **names):
    """Replace the library that ``module`` calls ``name`` by an overlay with these names."""
    setattr(module, name, _Overlay(getattr(module, name), **names))


def _around(owner, name):
    """Decorator: the function replaces ``owner.name`` and gets the original function as its first argument."""
    original = getattr(owner, name)

    def replace(function):
        @functools.wraps(original)
        def replacement(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(owner, name, replacement)

    return replace


@contextmanager
def _stand_in(name, **names):
    """Inside, ``import name`` finds a module with these names; at the end it is removed again."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(names)
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _setting(variable, value):
    """Inside, a ContextVar has this value."""
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


def _lacks(name):
    return lambda: name not in sys.modules and find_spec(name) is None


def _version(package):
    return tuple(int(part) for part in package.__version__.split(".")[:2])


def _pandas_3():
    return _version(pd) >= (3, 0)


def _pandas_warns():
    """Since 2.2 pandas announces what 3 does to chained assignments."""
    return _version(pd) >= (2, 2)


def _numpy_lacks_aliases():
    return not hasattr(np, "float_")


# ---------------------------------------------------------------------------------------------------- numpy


@repair("config.configurator", needed=_numpy_lacks_aliases)
def numpy_aliases_of_config(module):
    """config/configurator.py:628: every Config sets ``np.float = np.float_`` and similar names; NumPy 2 has no
    ``np.float_``."""
    module.Config.compatibility_settings = lambda self: None


@repair(
    *("data.interaction", "data.dataset.dataset", "evaluator.metrics", "trainer.hyper_tuning"),
    needed=_numpy_lacks_aliases,
)
def numpy_aliases(module):
    """data/interaction.py:31, data/dataset/dataset.py:652, evaluator/metrics.py:90, trainer/hyper_tuning.py:386:
    these read ``np.float`` and ``np.str``, which Config used to add to NumPy. (NumPy 2 has ``np.long`` and ``np.bool``
    again, which the layers and metrics use.)"""
    _overlay(module, "np", float=float, str=str)


@repair("trainer.hyper_tuning")
def integers_of_random_state(module):
    """trainer/hyper_tuning.py:117: exhaustive search gives a RandomState to hyperopt, which since 0.2.7 calls
    ``integers``, a method of NumPy's newer generators."""

    class RandomState(np.random.RandomState):
        integers = np.random.RandomState.randint

    _overlay(module, "np", random=_Overlay(np.random, RandomState=RandomState))


# --------------------------------------------------------------------------------------------------- pandas


_reader = ContextVar("reader", default=None)


def reading_with(reader):
    """Inside, ``fast_csv`` calls ``reader(pandas.read_csv, path, ...)`` in place of ``pandas.read_csv``."""
    return _setting(_reader, reader)


@repair("data.dataset.dataset")
def fast_csv(module):
    """data/dataset/dataset.py:486: RecBole reads atomic files by the python engine of pandas, which is 28 times slower
    than the C engine. The C engine reads the same content if it reads floats exactly."""
    read = module.pd.read_csv
    exact = {} if _version(pd) >= (3, 1) else {"float_precision": "round_trip"}  # 3.1 always reads floats exactly

    def read_csv(*args, **kwargs):
        delimiter = kwargs.get("delimiter") or ""
        if kwargs.get("engine") == "python" and len(delimiter) == 1 and delimiter.isascii():
            kwargs.update(engine="c", **exact)
            if _reader.get() is not None:
                return _reader.get()(read, *args, **kwargs)
        return read(*args, **kwargs)

    _overlay(module, "pd", read_csv=read_csv)


@repair("data.dataset.dataset", needed=_pandas_warns)
def strings_as_objects(module):
    """data/dataset/dataset.py:486,501: pandas 3 reads strings into a dtype of its own, and the chained
    ``df[field].fillna(value="", inplace=True)`` has no effect there and warns since 2.2. This reads strings as objects
    and fills empty sequences."""
    read = module.pd.read_csv

    def read_csv(*args, dtype, **kwargs):
        dtype = {name: object if kind is str else kind for name, kind in dtype.items()}
        frame = read(*args, dtype=dtype, **kwargs)
        for name in frame:  # "field:type", as in the first line of the file
            if name.endswith("_seq"):
                frame[name] = frame[name].fillna("")
        return frame

    _overlay(module, "pd", read_csv=read_csv)
    _around(module.Dataset, "_load_feat")(_without_chained_assignment_warning)


@repair("data.dataset.dataset", needed=_pandas_warns)
def fill_nan(module):
    """data/dataset/dataset.py:648,650: the chained ``feat[field].fillna(..., inplace=True)`` has no effect in pandas 3
    and warns since 2.2. This fills tokens with 0 and floats with their mean before it."""
    token, number = module.FeatureType.TOKEN, module.FeatureType.FLOAT

    @_around(module.Dataset, "_fill_nan")
    def _fill_nan(original, self):
        for feat in (getattr(self, name) for name in self.feat_name_list):
            for field in feat:
                if self.field2type[field] == token:
                    feat[field] = feat[field].fillna(0)
                elif self.field2type[field] == number:
                    feat[field] = feat[field].fillna(feat[field].mean())
        return _without_chained_assignment_warning(original, self)


@repair("data.dataset.dataset", needed=_pandas_3)
def writable_tensors(module):
    """data/dataset/dataset.py:2202,2207: pandas 3 returns read-only arrays, and PyTorch makes tensors from them that
    must not be written to. This copies such an array first."""

    def writable(make):
        return lambda value: make(np.require(value, requirements="W"))

    _overlay(module, "torch", LongTensor=writable(torch.LongTensor), FloatTensor=writable(torch.FloatTensor))


def _without_chained_assignment_warning(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ChainedAssignmentError)
        warnings.filterwarnings("ignore", "A value is trying to be set on a copy", FutureWarning)  # pandas 2
        return function(*args, **kwargs)


@repair("data.dataset.dataset", "data.dataset.kg_dataset", "data.dataset.sequential_dataset", needed=_pandas_3)
def len_of_each_row(module):
    """data/dataset/dataset.py:712,792,809,1217, kg_dataset.py:316, sequential_dataset.py:165: ``Series.agg(len)``
    no longer calls ``len`` for each row but once with the whole Series. No other call in these files passes a
    Series."""

    def length(value):
        return value.map(builtins.len) if isinstance(value, pd.Series) else builtins.len(value)

    module.len = length


@repair(
    *("data.dataset.dataset", "data.dataset.kg_dataset", "data.dataset.sequential_dataset"),
    needed=lambda: (2, 1) <= _version(pd) < (3, 0),
)
def warning_about_len(module):
    """data/dataset/dataset.py:712 and the other lines of ``len_of_each_row``: pandas 2.1 to 2.3 call ``len`` for each
    row, and warn that they will not."""
    owner, *methods = {
        "dataset": ("Dataset", "_normalize", "_discretization", "_remap"),
        "kg_dataset": ("KnowledgeBasedDataset", "_reset_ent_remapID"),
        "sequential_dataset": ("SequentialDataset", "_benchmark_presets"),
    }[module.__name__.rpartition(".")[2]]
    for method in methods:
        _around(getattr(module, owner), method)(_without_warning_about_agg)


def _without_warning_about_agg(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "using .* in Series.agg cannot aggregate", FutureWarning)
        return function(*args, **kwargs)


@repair("data.dataloader.abstract_dataloader")
def rows_of_a_loader(module):
    """data/dataloader/abstract_dataloader.py:61,66: ``list(range(n))`` takes 40 bytes a row (0.8 GB for 20 million
    rows). The range itself serves the same purpose there."""
    module.list = lambda values: values if isinstance(values, range) else builtins.list(values)


# ---------------------------------------------------------------------------------------------------- scipy


@repair(
    *(f"model.general_recommender.{name}" for name in ("gcmc", "lightgcn", "ncl", "ngcf", "spectralcf")),
    *(f"model.knowledge_aware_recommender.{name}" for name in ("kgin", "mcclk")),
    needed=lambda: not hasattr(sparse.dok_matrix, "_update"),
)
def update_of_dok_matrix(module):
    """gcmc.py:174, lightgcn.py:111, ncl.py:131, ngcf.py:110, spectralcf.py:123, kgin.py:356, mcclk.py:425: SciPy has
    removed ``dok_matrix._update``, which sets entries from a dict without checking its keys."""

    class dok_matrix(sparse.dok_matrix):
        def _update(self, data):
            self._dict.update(data)

    _overlay(module, "sp", dok_matrix=dok_matrix)


# ---------------------------------------------------------------------------------------------------- torch


@repair(
    "model.context_aware_recommender.kd_dagfm",
    *(f"model.general_recommender.{name}" for name in ("convncf", "nais", "neumf", "ract")),
    *("model.sequential_recommender.s3rec", "trainer.trainer"),
    needed=lambda: _version(torch) >= (2, 6),
)
def load_pickled(module):
    """trainer/trainer.py:323,583, kd_dagfm.py:56, convncf.py:82, nais.py:127, neumf.py:84, ract.py:75,84,
    s3rec.py:120: since PyTorch 2.6 ``torch.load`` reads plain data only, but the files that RecBole writes contain its
    Config. (The plugin's trainers write plain data and read it with the safe loader.)"""
    _overlay(module, "torch", load=functools.partial(torch.load, weights_only=False))


@repair("trainer.trainer", needed=lambda: hasattr(torch.amp, "GradScaler"))
def mixed_precision(module):
    """trainer/trainer.py:235,1440,1453: ``torch.cuda.amp`` is deprecated and causes a warning in every epoch."""
    names = {name: functools.partial(getattr(torch.amp, name), "cuda") for name in ("GradScaler", "autocast")}
    _overlay(module, "amp", **names)


@repair("trainer.trainer")
def distributed_on_cpu(module):
    """trainer/trainer.py:61,63: for a model on the CPU, DistributedDataParallel raises an error if it gets
    ``device_ids``, and SyncBatchNorm raises one in training. This leaves out ``device_ids`` and keeps the batch
    normalization of such a model."""

    def on_cpu(model):
        return all(parameter.device.type == "cpu" for parameter in model.parameters())

    class DistributedDataParallel(module.DistributedDataParallel):
        def __init__(self, model, device_ids=None, **kwargs):
            super().__init__(model, device_ids=None if on_cpu(model) else device_ids, **kwargs)

    class SyncBatchNorm(torch.nn.SyncBatchNorm):
        @classmethod
        def convert_sync_batchnorm(cls, model):
            return model if on_cpu(model) else torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)

    module.DistributedDataParallel = DistributedDataParallel
    _overlay(module, "torch", nn=_Overlay(torch.nn, SyncBatchNorm=SyncBatchNorm))


@repair("data.dataset.dataset")
def barrier_of_download(module):
    """data/dataset/dataset.py:252,254: a download ends with a barrier even if there is no process group."""
    real = torch.distributed

    def barrier(*args, **kwargs):
        return real.barrier(*args, **kwargs) if real.is_available() and real.is_initialized() else None

    _overlay(module, "torch", distributed=_Overlay(real, barrier=barrier))


# -------------------------------------------------------------------------- faults of RecBole on any version


@repair("evaluator.collector", needed=lambda: recbole.__version__ != "1.2.0")
def count_metrics(module):
    """evaluator/collector.py:227: calls ``.cpu()`` on everything that was collected, even on the counts that
    ItemCoverage and the popularity metrics need, which are not tensors."""

    @_around(module.Collector, "get_data_struct")
    def get_data_struct(original, self):
        data = self.data_struct._data_dict
        counts = {name: value for name, value in data.items() if not torch.is_tensor(value)}
        for name in counts:
            del data[name]
        returned = original(self)
        for struct in (data, returned._data_dict):
            struct.update(counts)
        return returned


@repair("model.general_recommender.pop")
def counts_of_pop(module):
    """model/general_recommender/pop.py:47: ``item_cnt[item] = item_cnt[item] + 1`` counts an item once a batch, however
    often the batch has it (RecBole #1844)."""

    @_around(module.Pop, "calculate_loss")
    def calculate_loss(original, self, interaction):
        times = torch.bincount(interaction[self.ITEM_ID], minlength=self.n_items)
        self.item_cnt += (times - 1).clamp(min=0).unsqueeze(1)
        return original(self, interaction)


@repair("model.general_recommender.pop")
def negatives_of_pop(module):
    """model/general_recommender/pop.py:46: counts the sampled negatives of a batch, which are as many as its
    interactions."""

    @_around(module.Pop, "__init__")
    def __init__(original, self, config, dataset):
        original(self, config, dataset)
        negatives = config["train_neg_sample_args"] or {}
        self.label_of_negatives = None if negatives.get("distribution", "none") == "none" else config["LABEL_FIELD"]

    @_around(module.Pop, "calculate_loss")
    def calculate_loss(original, self, interaction):
        if self.label_of_negatives in interaction:
            interaction = interaction[interaction[self.label_of_negatives] > 0]
        return original(self, interaction)


@repair("data.dataset.sequential_dataset")
def first_interactions(module):
    """data/dataset/dataset.py:1399: the counters of a sequential data set lack the first interaction of each user,
    which is no row of it. ``inter_matrix`` (sequential_dataset.py:186) has them."""

    @_around(module.SequentialDataset, "counter")
    def counter(original, self, field):
        if field not in (self.uid_field, self.iid_field) or self.item_list_length_field not in self.inter_feat:
            return original(self, field)
        matrix = self.inter_matrix()
        return Counter((matrix.row if field == self.uid_field else matrix.col).tolist())


@repair("evaluator.collector")
def counts_without_padding(module):
    """evaluator/collector.py:87-94: the numbers of items and users count the padding (RecBole #830), and the counts of
    items leave out those that are not in the training data, which are the longest part of the tail."""

    @_around(module.Collector, "data_collect")
    def data_collect(original, self, train_data):
        original(self, train_data)
        data, dataset = self.data_struct, train_data.dataset
        for name in ("data.num_items", "data.num_users"):
            if name in data:
                data.set(name, data.get(name) - 1)
        if "data.count_items" in data:
            counts = data.get("data.count_items")
            data.set("data.count_items", {item: counts.get(item, 0) for item in range(1, dataset.item_num)})


@repair("evaluator.collector")
def empty_places(module):
    """evaluator/collector.py:163,170,184: a list that is longer than the candidates is filled up with items whose score
    is -inf: the padding, items seen before, and items that are no candidates, which can even be hits. These places get
    item 0 and are no hits. For GAUC a positive item with the score -inf ranks below all candidates."""

    @_around(module.Collector, "eval_batch_collect")
    def eval_batch_collect(original, self, scores, interaction, positive_row, positive_item):
        lists = [name for name in ("rec.items", "rec.topk") if self.register.need(name)]
        k = max(self.topk) if lists else 0
        empty = scores.topk(k).values.isneginf() if lists else None
        if lists or self.register.need("rec.meanrank"):
            row, item = positive_row.to(scores.device), positive_item.to(scores.device)
            left_out = scores[row, item].isneginf()
            if left_out.any():
                scores = scores.clone()
                scores[row[left_out], item[left_out]] = torch.finfo(scores.dtype).min
        original(self, scores, interaction, positive_row, positive_item)
        for name in lists:
            self.data_struct.get(name)[-len(empty) :, :k][empty] = 0


@repair("evaluator.metrics")
def entropy_is_a_sum(module):
    """evaluator/metrics.py:578: ShannonEntropy is divided by the number of different items (RecBole #2165)."""

    def get_entropy(self, item_matrix):
        share = _times_listed(item_matrix)
        share = share[share > 0] / share.sum()
        return -(share * np.log(share)).sum()

    module.ShannonEntropy.get_entropy = get_entropy


@repair("evaluator.metrics")
def empty_places_of_counts(module):
    """evaluator/metrics.py:434,655: ItemCoverage and GiniIndex count an empty place of a list, 0, as an item."""

    def get_coverage(self, item_matrix, num_items):
        return np.count_nonzero(_times_listed(item_matrix)) / num_items

    def get_gini(self, item_matrix, num_items):
        times = np.zeros(num_items)
        listed = _times_listed(item_matrix)
        times[: len(listed)] = listed
        rank = np.arange(1, num_items + 1)
        total = times.sum() or np.nan
        return ((2 * rank - num_items - 1) * np.sort(times)).sum() / total / num_items

    module.ItemCoverage.get_coverage = get_coverage
    module.GiniIndex.get_gini = get_gini


@repair("evaluator.metrics")
def popularity_of_lists(module):
    """evaluator/metrics.py:491,752: AveragePopularity and TailPercentage divide by the length of the list, with its
    empty places, and search a list of the tail for each place. A list without any item has no mean and is left out."""

    def metric_info(self, values):
        filled = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.where(filled, values, 0).cumsum(axis=1) / filled.cumsum(axis=1)

    def get_pop(self, item_matrix, item_count):
        return _of_items(item_matrix, item_count)

    def get_tail(self, item_matrix, count_items):
        if self.tail >= 1 and isinstance(self.tail, int):
            tail = {item: count <= self.tail for item, count in count_items.items()}
        else:
            ordered = sorted(count_items, key=lambda item: (count_items[item], item))
            cut = max(int(len(ordered) * self.tail + 1e-9), 1)
            tail = {item: place < cut for place, item in enumerate(ordered)}
        return _of_items(item_matrix, tail)

    module.AveragePopularity.get_pop, module.AveragePopularity.metric_info = get_pop, metric_info
    module.TailPercentage.get_tail, module.TailPercentage.metric_info = get_tail, metric_info
    for metric in (module.AveragePopularity, module.TailPercentage):

        @_around(metric, "topk_result")
        def topk_result(original, self, metric, value):
            value = value[np.isfinite(value[:, 0])]
            return original(self, metric, value if len(value) else np.full((1, value.shape[1]), np.nan))


def _times_listed(item_matrix):
    """How often each item from 1 on is in the lists; 0 is an empty place."""
    return np.bincount(item_matrix.ravel())[1:]


def _of_items(item_matrix, value):
    """The value of each item of the lists, 0 for items without one and NaN for empty places."""
    table = np.zeros(max(item_matrix.max(initial=0), max(value, default=0)) + 1)
    table[np.fromiter(value.keys(), np.int64, len(value))] = np.fromiter(value.values(), np.float64, len(value))
    table[0] = np.nan
    return table[item_matrix]


@repair("sampler.sampler")
def popularity_of_samplers(module):
    """sampler/sampler.py:229,399: the popularity of an item is counted in the rows of all phases, also of the test, and
    without the first item of each user in a sequential data set. It is that of the training data."""

    def repeated(dataset):
        return list(dataset.item_counter.elements())

    module.Sampler._get_candidates_list = lambda self: repeated(self.datasets[0])
    module.RepeatableSampler._get_candidates_list = lambda self: repeated(self.dataset)


_allows_every_item = ContextVar("allows every item", default=False)


def allowing_users_with_every_item():
    """Inside, samplers may be made for data where a user has had every item; ``users_with_every_item`` says why."""
    return _setting(_allows_every_item, True)


@repair("sampler.sampler")
def users_with_every_item(module):
    """sampler/sampler.py:257: refuses data where a user has had every item, even if no negative is drawn for that user
    in any phase. ``data.negatives`` refuses them where one is drawn."""

    @_around(module.Sampler, "get_used_ids")
    def get_used_ids(original, self):
        if not _allows_every_item.get():
            return original(self)
        self.item_num += 1  # more than anyone has had; nothing else there reads it
        try:
            return original(self)
        finally:
            self.item_num -= 1


@repair("data.utils")
def training_data_of_repeatable_sampler(module):
    """data/utils.py:326: RepeatableSampler gets the whole data set, from which it takes the popularity of items."""

    @_around(module, "_create_sampler")
    def _create_sampler(original, dataset, built_datasets, *args, **kwargs):
        return original(built_datasets[0], built_datasets, *args, **kwargs)


@repair("sampler.sampler")
def alias_table(module):
    """sampler/sampler.py:79: rounding leaves an item of the table a little less than its share, with -1 for the rest. This sampler draws from the cumulative shares, without a loop over the samples."""

    def _build_alias_table(self):
        self.candidates, count = np.unique(self._get_candidates_list(), return_counts=True)
        share = (count / count.sum()) ** self.alpha
        self.cumulative = share.cumsum() / share.sum()

    def _pop_sampling(self, sample_num):
        place = np.searchsorted(self.cumulative, np.random.random(sample_num), side="right")
        return self.candidates[place.clip(max=len(self.candidates) - 1)]

    module.AbstractSampler._build_alias_table = _build_alias_table
    module.AbstractSampler._pop_sampling = _pop_sampling


def _ray():
    """``ray`` with ``ray.tune`` alone, which loads the real one when one of its names is used."""

    class Tune(types.ModuleType):
        def __getattr__(self, name):
            return getattr(importlib.import_module("ray.tune"), name)

    return _stand_in("ray", tune=Tune("ray.tune"))


@repair("quick_start.quick_start", needed=lambda: "ray" not in sys.modules, during=_ray)
def ray_when_it_is_used(module):
    """quick_start/quick_start.py:20,223: imports ray for one line of hyperparameter tuning. The newest ray that RecBole
    allows, 2.6.3, imports pkg_resources, which setuptools no longer has. This imports ray when tuning uses it."""


@repair("data.dataloader.knowledge_dataloader")
def dataset_of_knowledge_loader(module):
    """evaluator/collector.py:87: the same metrics read ``dataset`` of the training loader, but the loader of the
    knowledge-aware models (knowledge_dataloader.py:109) has it as ``_dataset`` only."""
    module.KnowledgeBasedDataLoader.dataset = property(lambda self: self._dataset)


@repair("model.sequential_recommender.ksr")
def relations_of_ksr(module):
    """model/sequential_recommender/ksr.py:79: the relation matrix stays in float64, but the layers are in float32."""

    @_around(module.KSR, "__init__")
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.relation_Matrix = self.relation_Matrix.float()


def _anomaly_detection_as_it_is():
    return torch.autograd.set_detect_anomaly(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())


@repair("model.sequential_recommender.sine", during=_anomaly_detection_as_it_is)
def anomaly_detection_of_sine(module):
    """model/sequential_recommender/sine.py:25: importing any sequential model turns on autograd's anomaly detection
    for the whole process, and training takes several times longer. This keeps the setting as it was before the import,
    or turns it off if the import came before the repair."""
    torch.autograd.set_detect_anomaly(False)


class _FaissKmeans:
    """The part of ``faiss.Kmeans`` that NCL uses, with scikit-learn and the iterations and seed of faiss."""

    def __init__(self, d, k, gpu=False):
        from sklearn.cluster import KMeans

        self.index = self
        self.kmeans = KMeans(k, init="random", n_init=1, max_iter=25, random_state=1234)

    def train(self, x):
        self.centroids = self.kmeans.fit(x).cluster_centers_

    def search(self, x, k):
        return None, self.kmeans.predict(x).astype(np.int64)[:, None]


@repair("model.general_recommender.ncl", needed=_lacks("faiss"))
def kmeans_of_ncl(module):
    """model/general_recommender/ncl.py:87: uses faiss for one k-means, but RecBole does not install it."""

    @_around(module.NCL, "run_kmeans")
    def run_kmeans(original, self, x):
        with _stand_in("faiss", Kmeans=_FaissKmeans):
            return original(self, x)


def _kmeans_pytorch():
    """The part of ``kmeans_pytorch`` that LDiffRec uses, with scikit-learn: labels and centers, on the CPU."""

    def kmeans(X, num_clusters, **settings):
        from sklearn.cluster import KMeans

        fitted = KMeans(num_clusters, n_init=1).fit(X.detach().cpu().numpy())
        return torch.from_numpy(fitted.labels_).long(), torch.from_numpy(fitted.cluster_centers_)

    return _stand_in("kmeans_pytorch", kmeans=kmeans)


@repair("model.general_recommender.ldiffrec", needed=_lacks("kmeans_pytorch"), during=_kmeans_pytorch)
def kmeans_of_ldiffrec(module):
    """model/general_recommender/ldiffrec.py:70, and :29 of 1.2.0: uses kmeans_pytorch, but RecBole does not install it.
    In 1.2.0 no general model can be imported without it."""

    @_around(module.AutoEncoder, "__init__")
    def __init__(original, self, *args, **kwargs):
        with _kmeans_pytorch():
            original(self, *args, **kwargs)
