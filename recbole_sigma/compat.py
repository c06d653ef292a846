"""What RecBole 1.2.x needs to run on current numpy, pandas, scipy and torch, and nothing else.

One function per fault; each names the upstream file and line (of RecBole 1.2.1) and what breaks there, and is
applied only where the versions at hand need it. Nothing but RecBole's own names is touched: where RecBole uses
something that a library dropped, the RecBole module sees that library through an overlay, a module that answers a
few names itself and passes on the rest. Repairs of modules that are not imported yet wait for their import.
"""

import builtins
import functools
import sys
import types
import warnings
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

import numpy as np
import pandas as pd
import recbole
import torch
from scipy import sparse

_REPAIRS: dict = defaultdict(list)  # name of a module: its repairs, in the order of this file
_DONE = "_recbole_sigma_repairs"  # where a repaired module keeps the names of what was applied


def repair(*modules, needed=lambda: True, during=None):
    """Register a function of a module as the repair of these modules, each named by its path below ``recbole``.

    ``needed`` says whether the versions at hand have the fault; ``during`` makes a context in which the module's
    own code is to run, and its repairs after it.
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
    """A module seen with some names of one's own; every other name comes, live, from the module itself."""

    def __init__(self, real, **names):
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(names, _real=real)

    def __getattr__(self, name):
        return getattr(self._real, name)


def _overlay(module, name, **names):
    """Let ``module`` see the library that it calls ``name`` with these names of one's own."""
    setattr(module, name, _Overlay(getattr(module, name), **names))


def _around(owner, name):
    """Decorator: the function replaces ``owner.name`` and gets the original as its first argument."""
    original = getattr(owner, name)

    def replace(function):
        @functools.wraps(original)
        def replacement(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(owner, name, replacement)

    return replace


@contextmanager
def _stand_in(name, **names):
    """While inside, ``import name`` finds a module of these names; afterwards no trace of it is left."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(names)
    try:
        yield
    finally:
        del sys.modules[name]


def _lacks(name):
    return lambda: name not in sys.modules and find_spec(name) is None


def _version(package):
    return tuple(int(part) for part in package.__version__.split(".")[:2])


def _pandas_3():
    return _version(pd) >= (3, 0)


def _numpy_lacks_aliases():
    return not hasattr(np, "float_")


# ---------------------------------------------------------------------------------------------------- numpy


@repair("config.configurator", needed=_numpy_lacks_aliases)
def numpy_aliases_of_config(module):
    """config/configurator.py:628: every Config sets ``np.float = np.float_`` and more, of which numpy 2 has neither."""
    module.Config.compatibility_settings = lambda self: None


@repair(
    *("data.interaction", "data.dataset.dataset", "evaluator.metrics", "trainer.hyper_tuning"),
    needed=_numpy_lacks_aliases,
)
def numpy_aliases(module):
    """data/interaction.py:31, data/dataset/dataset.py:652, evaluator/metrics.py:90, trainer/hyper_tuning.py:386:
    ``np.float`` and ``np.str``, which Config used to put into numpy. (``np.long`` and ``np.bool``, which the layers
    and metrics use, are back in numpy 2.)"""
    _overlay(module, "np", float=float, str=str)


@repair("trainer.hyper_tuning")
def integers_of_random_state(module):
    """trainer/hyper_tuning.py:117: exhaustive search hands a RandomState to hyperopt, which since 0.2.7 calls the
    ``integers`` of numpy's newer generators."""

    class RandomState(np.random.RandomState):
        integers = np.random.RandomState.randint

    _overlay(module, "np", random=_Overlay(np.random, RandomState=RandomState))


# --------------------------------------------------------------------------------------------------- pandas


_reader = ContextVar("reader", default=None)


@contextmanager
def reading_with(reader):
    """While inside, what ``fast_csv`` would have pandas read is read by ``reader(pandas.read_csv, path, ...)``."""
    before = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(before)


@repair("data.dataset.dataset")
def fast_csv(module):
    """data/dataset/dataset.py:486: atomic files are read by pandas' python engine, 28 times slower than the C one,
    which reads the same from them when it reads floats exactly."""
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


@repair("data.dataset.dataset", needed=_pandas_3)
def strings_as_objects(module):
    """data/dataset/dataset.py:486,501: pandas 3 reads strings into a dtype of its own, and a chained
    ``df[field].fillna(value="", inplace=True)`` does nothing: so read objects, and fill sequences right here."""
    read = module.pd.read_csv

    def read_csv(*args, dtype, **kwargs):
        dtype = {name: object if kind is str else kind for name, kind in dtype.items()}
        frame = read(*args, dtype=dtype, **kwargs)
        for name in frame:  # "field:type", as in the file's head
            if name.endswith("_seq"):
                frame[name] = frame[name].fillna("")
        return frame

    _overlay(module, "pd", read_csv=read_csv)
    _around(module.Dataset, "_load_feat")(_without_chained_assignment_warning)


@repair("data.dataset.dataset", needed=_pandas_3)
def fill_nan(module):
    """data/dataset/dataset.py:648,650: chained ``feat[field].fillna(..., inplace=True)`` does nothing in pandas 3:
    fill tokens with 0 and floats with their mean beforehand."""
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
    """data/dataset/dataset.py:2202,2207: pandas 3 hands out read-only arrays, of which torch makes tensors that must
    not be written to: copy such an array first."""

    def writable(make):
        return lambda value: make(np.require(value, requirements="W"))

    _overlay(module, "torch", LongTensor=writable(torch.LongTensor), FloatTensor=writable(torch.FloatTensor))


def _without_chained_assignment_warning(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ChainedAssignmentError)
        return function(*args, **kwargs)


@repair("data.dataset.dataset", "data.dataset.kg_dataset", "data.dataset.sequential_dataset", needed=_pandas_3)
def len_of_each_row(module):
    """data/dataset/dataset.py:712,792,809,1217, kg_dataset.py:316, sequential_dataset.py:165: ``Series.agg(len)``
    no longer maps, it calls ``len`` once with the whole Series. No other call in these files passes a Series."""

    def length(value):
        return value.map(builtins.len) if isinstance(value, pd.Series) else builtins.len(value)

    module.len = length


@repair("data.dataloader.abstract_dataloader")
def rows_of_a_loader(module):
    """data/dataloader/abstract_dataloader.py:61,66: ``list(range(n))`` takes 40 bytes a row (0.8 GB for 20 million);
    the range itself does the same there."""
    module.list = lambda values: values if isinstance(values, range) else builtins.list(values)


# ---------------------------------------------------------------------------------------------------- scipy


@repair(
    *(f"model.general_recommender.{name}" for name in ("gcmc", "lightgcn", "ncl", "ngcf", "spectralcf")),
    *(f"model.knowledge_aware_recommender.{name}" for name in ("kgin", "mcclk")),
    needed=lambda: not hasattr(sparse.dok_matrix, "_update"),
)
def update_of_dok_matrix(module):
    """gcmc.py:174, lightgcn.py:111, ncl.py:131, ngcf.py:110, spectralcf.py:123, kgin.py:356, mcclk.py:425: scipy's
    ``dok_matrix._update``, which sets entries from a dict of trusted keys, is gone."""

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
    s3rec.py:120: since torch 2.6 ``torch.load`` reads plain data only, but the files that RecBole writes hold its
    Config. (The plugin's trainers write plain data and read it with the safe loader.)"""
    _overlay(module, "torch", load=functools.partial(torch.load, weights_only=False))


@repair("trainer.trainer", needed=lambda: hasattr(torch.amp, "GradScaler"))
def mixed_precision(module):
    """trainer/trainer.py:235,1440,1453: ``torch.cuda.amp`` is deprecated and warns in every epoch."""
    names = {name: functools.partial(getattr(torch.amp, name), "cuda") for name in ("GradScaler", "autocast")}
    _overlay(module, "amp", **names)


@repair("trainer.trainer")
def distributed_on_cpu(module):
    """trainer/trainer.py:61,63: DistributedDataParallel refuses ``device_ids`` for a model on the CPU, and a
    SyncBatchNorm refuses to train there: leave its batch normalization as it is."""

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
    """data/dataset/dataset.py:252,254: a download ends in a barrier even if there is no process group."""
    real = torch.distributed

    def barrier(*args, **kwargs):
        return real.barrier(*args, **kwargs) if real.is_available() and real.is_initialized() else None

    _overlay(module, "torch", distributed=_Overlay(real, barrier=barrier))


# -------------------------------------------------------------------------- faults of RecBole on any version


@repair("evaluator.collector", needed=lambda: recbole.__version__ != "1.2.0")
def count_metrics(module):
    """evaluator/collector.py:227: ``.cpu()`` on everything collected, also on the counts that ItemCoverage and the
    popularity metrics ask for."""

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


@repair("data.dataloader.knowledge_dataloader")
def dataset_of_knowledge_loader(module):
    """evaluator/collector.py:87: the same metrics ask the training loader for its ``dataset``, which the loader of
    the knowledge-aware models (knowledge_dataloader.py:109) calls ``_dataset`` only."""
    module.KnowledgeBasedDataLoader.dataset = property(lambda self: self._dataset)


@repair("model.sequential_recommender.ksr")
def relations_of_ksr(module):
    """model/sequential_recommender/ksr.py:79: the relation matrix stays float64, the layers are float32."""

    @_around(module.KSR, "__init__")
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.relation_Matrix = self.relation_Matrix.float()


def _anomaly_detection_as_it_is():
    return torch.autograd.set_detect_anomaly(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())


@repair("model.sequential_recommender.sine", during=_anomaly_detection_as_it_is)
def anomaly_detection_of_sine(module):
    """model/sequential_recommender/sine.py:25: turns on autograd's anomaly detection for the whole process, where
    training is then several times slower, as soon as any sequential model is imported: leave it as it was, or off if
    that happened before."""
    torch.autograd.set_detect_anomaly(False)


class _FaissKmeans:
    """The part of ``faiss.Kmeans`` that NCL uses, by scikit-learn, with the iterations and seed of faiss."""

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
    """model/general_recommender/ncl.py:87: needs faiss, which RecBole does not install, for one k-means."""

    @_around(module.NCL, "run_kmeans")
    def run_kmeans(original, self, x):
        with _stand_in("faiss", Kmeans=_FaissKmeans):
            return original(self, x)


def _kmeans_pytorch():
    """The part of ``kmeans_pytorch`` that LDiffRec uses, by scikit-learn: labels and centers, on the CPU."""

    def kmeans(X, num_clusters, **settings):
        from sklearn.cluster import KMeans

        fitted = KMeans(num_clusters, n_init=1).fit(X.detach().cpu().numpy())
        return torch.from_numpy(fitted.labels_).long(), torch.from_numpy(fitted.cluster_centers_)

    return _stand_in("kmeans_pytorch", kmeans=kmeans)


@repair("model.general_recommender.ldiffrec", needed=_lacks("kmeans_pytorch"), during=_kmeans_pytorch)
def kmeans_of_ldiffrec(module):
    """model/general_recommender/ldiffrec.py:70, and :29 of 1.2.0, where it keeps every general model from loading:
    needs kmeans_pytorch, which RecBole does not install."""

    @_around(module.AutoEncoder, "__init__")
    def __init__(original, self, *args, **kwargs):
        with _kmeans_pytorch():
            original(self, *args, **kwargs)
