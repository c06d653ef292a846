"""Each repair of compat by its behaviour, on the versions installed here; all of them together without side effects."""

import importlib
import logging
import sys
import types
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from recbole_sigma import compat  # before RecBole: it is repaired while it is imported

import recbole
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType, init_seed

from tests.fresh import fresh

ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"


def load(monkeypatch, dataset, **settings):
    """RecBole's dataset, its features as tensors."""
    data = frames(monkeypatch, dataset, **settings)
    data._change_feat_format()
    return data


def frames(monkeypatch, dataset, **settings):
    """RecBole's dataset, its features as data frames."""
    monkeypatch.setattr(sys, "argv", ["x"])  # RecBole's Config reads the command line
    defaults = dict(data_path=".", use_gpu=False, gpu_id="", show_progress=False, state="ERROR")
    config = Config(model=settings.pop("model", "BPR"), dataset=dataset, config_dict={**defaults, **settings})
    init_seed(config["seed"], config["reproducibility"])
    return create_dataset(config)


def rows_of(path):
    """An atomic file parsed by hand: its fields with their types, and its rows of text."""
    head, *lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [field.split(":") for field in head.split("\t")], [line.split("\t") for line in lines]


@pytest.fixture
def synthetic(tmp_path, monkeypatch):
    """A dataset with missing values of every type in its items and users."""
    files = {
        "inter": [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "u1\ti1\t5\t3", "u1\ti2\t\t1", "u2\ti1\t1\t2", "u2\ti3\t3\t4",
        ],
        "item": [
            "item_id:token\ttitle:token_seq\tyear:token\tprice:float\tvector:float_seq",
            "i1\tToy Story\t1995\t2.5\t0.5 1.5", "i2\t\t\t\t", "i3\tStory\t1995\t4.5\t2.5", "i4\tHeat\t1996\t1.5\t3.5",
        ],
        "user": ["user_id:token\tage:token", "u1\t24", "u2\t"],
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    for suffix, lines in files.items():
        (tmp_path / "synthetic" / f"synthetic.{suffix}").write_text("\n".join(lines) + "\n")
    return {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "item": ["item_id", "title", "year", "price", "vector"],
        "user": ["user_id", "age"],
    }


# ---------------------------------------------------------------------------------------------------- loading


@pytest.mark.parametrize("suffix", ["inter", "item", "user"])
def test_ml_100k_is_loaded_as_the_file_says(suffix, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fields, rows = rows_of(ML_100K / f"ml-100k.{suffix}")
    load_col = {"inter": ["user_id", "item_id"], suffix: [name for name, _ in fields]}
    data = load(monkeypatch, "ml-100k", load_col=load_col, normalize_all=False)
    feat = getattr(data, f"{suffix}_feat")
    loaded = pd.DataFrame({name: list(feat[name].numpy()) for name, _ in fields})
    if suffix != "inter":  # ordered by id, after a row of padding
        key = fields[0][0]
        order = data.token2id(key, np.array([row[0] for row in rows if row[0] in data.field2token_id[key]]))
        rows = [row for row in rows if row[0] in data.field2token_id[key]]
        assert len(loaded) == len(rows) + 1
        loaded = loaded.iloc[order]
    assert len(loaded) == len(rows)
    for column, (name, kind) in enumerate(fields):
        expected = [row[column] for row in rows]
        if kind == "token":
            names = data.field2id_token[name]
            assert [names[i] if i else "" for i in loaded[name]] == expected
        elif kind == "float":
            assert loaded[name].tolist() == np.array(expected, dtype=np.float32).tolist()
        else:
            names = data.field2id_token[name]
            assert [[names[i] for i in ids if i] for ids in loaded[name]] == [text.split() for text in expected]


def test_missing_values_are_filled(synthetic, monkeypatch):
    data = load(monkeypatch, "synthetic", load_col=synthetic)
    items, users = data.item_feat, data.user_feat
    i1, i2, i3, i4 = data.token2id("item_id", ["i1", "i2", "i3", "i4"])

    def titles(item):
        return [name for name in data.id2token("title", items["title"][item]) if name != "[PAD]"]

    assert [titles(item) for item in (i1, i2, i3, i4, 0)] == [["Toy", "Story"], [], ["Story"], ["Heat"], []]
    assert list(data.id2token("year", items["year"][[i1, i2, i3, i4]])) == ["1995", "[PAD]", "1995", "1996"]
    mean = (2.5 + 4.5 + 1.5) / 3
    assert items["price"][[i1, i2, i3, i4]].tolist() == pytest.approx([2.5, mean, 4.5, 1.5])
    assert items["vector"][[i1, i2, i3, i4]].tolist() == [[0.5, 1.5], [0, 0], [2.5, 0], [3.5, 0]]
    assert list(data.id2token("age", users["age"][data.token2id("user_id", ["u1", "u2"])])) == ["24", "[PAD]"]
    assert data.inter_feat["rating"].tolist() == [5, 3, 1, 3]
    assert data.inter_feat["timestamp"].tolist() == [3, 1, 2, 4]


def test_loading_is_silent(synthetic, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        load(monkeypatch, "synthetic", load_col=synthetic)


def test_loading_of_sequences_is_silent(synthetic, monkeypatch):
    """Every part of loading that asks for the length of each row."""
    rows = "item_id_list:token_seq\titem_id:token\tuser_id:token\ni1 i2\ti3\tu1\n"
    Path("synthetic/synthetic.part.inter").write_text(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        load(monkeypatch, "synthetic", load_col=synthetic, normalize_field=["vector"], numerical_features=[])
        load(monkeypatch, "synthetic", load_col=synthetic, numerical_features=["vector"])
        load(
            monkeypatch,
            "synthetic",
            model="GRU4Rec",
            benchmark_filename=["part", "part", "part"],
            load_col={"inter": ["item_id_list", "item_id", "user_id"]},
            alias_of_item_id=["item_id_list"],
            train_neg_sample_args=None,
        )


def test_tensors_of_read_only_columns_are_copies(synthetic, monkeypatch):
    data = frames(monkeypatch, "synthetic", load_col=synthetic)
    frame = data.inter_feat[["user_id"]].copy()
    before, writable = frame["user_id"].tolist(), frame["user_id"].values.flags.writeable
    data._dataframe_to_interaction(frame)["user_id"][:] = 9
    assert writable or frame["user_id"].tolist() == before


@pytest.mark.skipif(not compat._pandas_3(), reason="pandas 2 assigns")
def test_chained_assignment_warnings_of_others_stay():
    frame = pd.DataFrame({"a": [1.0, np.nan]})
    with pytest.warns(pd.errors.ChainedAssignmentError):
        frame["a"].fillna(0, inplace=True)


def test_sequences_are_normalized_and_discretized(synthetic, monkeypatch):
    """Both cut one long array by the length of each row."""
    data = load(monkeypatch, "synthetic", load_col=synthetic, normalize_field=["vector"], numerical_features=[])
    i1, i2, i3, i4 = data.token2id("item_id", ["i1", "i2", "i3", "i4"])
    assert data.item_feat["vector"][[i1, i2, i3, i4]].tolist() == pytest.approx(
        np.array([[0, 1 / 3], [0, 0], [2 / 3, 0], [1, 0]])
    )
    data = load(monkeypatch, "synthetic", load_col=synthetic, numerical_features=["vector"])
    assert data.item_feat["vector"][i1].tolist() == [[0.5, 1], [1.5, 1]]


@pytest.mark.parametrize("name", ["dataset", "kg_dataset", "sequential_dataset"])
def test_len_maps_over_a_series_only(name):
    module = importlib.import_module(f"recbole.data.dataset.{name}")
    rows = pd.Series([[1, 2], [], [3]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas 2; test_loading_of_sequences_is_silent is about it
        assert list(rows.agg(module.__dict__.get("len", len))) == [2, 0, 1]
    assert eval("len([1, 2])", vars(module)) == 2
    assert eval("len(frame)", vars(module), {"frame": pd.DataFrame({"a": [1, 2, 3]})}) == 3


def test_c_engine_reads_what_the_python_engine_reads(tmp_path):
    reader = importlib.import_module("recbole.data.dataset.dataset").pd.read_csv
    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.random(500), rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500)])
    path = tmp_path / "x.inter"
    rows = "".join(f'{number!r}\t{i:03d}\t"a b c"\n' for i, number in enumerate(numbers.tolist()))
    path.write_text("x:float\tid:token\ttitle:token_seq\n" + rows + "\tNA\t\n")
    types_ = {"x:float": np.float64, "id:token": str, "title:token_seq": str}
    settings = dict(delimiter="\t", usecols=list(types_), dtype=types_, encoding="utf-8", engine="python")
    frame, plain = reader(path, **settings), pd.read_csv(path, **settings)
    assert frame["x:float"].tolist()[:-1] == numbers.tolist()
    assert np.isnan(frame["x:float"].iloc[-1])
    assert frame["id:token"].tolist()[:-1] == plain["id:token"].tolist()[:-1] == [f"{i:03d}" for i in range(1000)]
    assert frame["id:token"].isna().tolist() == [False] * 1000 + [True]
    assert frame["title:token_seq"].fillna("").tolist() == ["a b c"] * 1000 + [""]
    assert frame["id:token"].dtype == frame["title:token_seq"].dtype == object
    assert reader(path, **settings, low_memory=False).equals(frame)  # an option that the python engine refuses


def test_download_needs_no_process_group(monkeypatch, tmp_path):
    module = importlib.import_module("recbole.data.dataset.dataset")
    done = []
    for name in ("decide_download", "download_url", "extract_zip", "rename_atomic_files", "makedirs"):
        monkeypatch.setattr(module, name, lambda *args, name=name: done.append(name) or "nothing")
    monkeypatch.setattr(module.os, "unlink", lambda path: None)
    for rank in (0, 1):
        data = object.__new__(Dataset)
        data.config, data.dataset_name, data.dataset_path = {"local_rank": rank}, "x", str(tmp_path)
        data.logger, data._get_download_url = logging.getLogger("x"), lambda kind: "https://example.org/x.zip"
        data._download()
    assert done == ["decide_download", "makedirs", "download_url", "extract_zip", "rename_atomic_files"]


# ----------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize("name", ["gcmc", "lightgcn", "ncl", "ngcf", "spectralcf"])
def test_dok_matrix_takes_entries_from_a_dict(name):
    module = importlib.import_module(f"recbole.model.general_recommender.{name}")
    matrix = module.sp.dok_matrix((3, 4), dtype=np.float32)
    row, column = np.array([0, 2], dtype=np.int32), np.array([3, 1], dtype=np.int32)
    matrix._update(dict(zip(zip(row, column), [1, 2])))
    expected = np.zeros((3, 4))
    expected[0, 3], expected[2, 1] = 1, 2
    assert np.array_equal(matrix.toarray(), expected)
    assert np.array_equal(np.asarray((matrix > 0).sum(axis=1)).ravel(), [1, 0, 1])
    assert np.array_equal((sparse.diags([1, 2, 3]) * matrix).toarray(), np.diag([1, 2, 3]) @ expected)
    assert module.sp.coo_matrix is sparse.coo_matrix


def test_light_gcn_normalizes_the_graph(synthetic, monkeypatch):
    from recbole.model.general_recommender import LightGCN

    data = load(monkeypatch, "synthetic", load_col={"inter": ["user_id", "item_id"]})
    for key, value in {"n_layers": 1, "reg_weight": 0.0, "embedding_size": 4, "require_pow": False}.items():
        data.config[key] = value
    adjacency = LightGCN(data.config, data).norm_adj_matrix.to_dense().numpy()
    graph = np.zeros_like(adjacency)
    users, items = data.inter_feat["user_id"].numpy(), data.inter_feat["item_id"].numpy() + data.user_num
    graph[users, items] = graph[items, users] = 1
    degree = np.where(graph.sum(1) > 0, graph.sum(1), np.inf)
    assert np.allclose(adjacency, graph / np.sqrt(np.outer(degree, degree)), atol=1e-5)


@pytest.mark.parametrize("n_rows, n_clusters", [(300, 7), (20, 20)])
def test_k_means_of_ncl_assigns_the_nearest_centroid(n_rows, n_clusters, monkeypatch):
    from recbole.model.general_recommender import NCL as stock

    class NCL(stock):
        """Repaired as without faiss, whether it is installed or not."""

    if not hasattr(stock.run_kmeans, "__wrapped__"):
        compat.kmeans_of_ncl(types.SimpleNamespace(NCL=NCL))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n_rows, 5, generator=generator).numpy()
    seen = {}

    class Recording(compat._FaissKmeans):
        def search(self, x, k):
            seen["centroids"] = self.centroids
            return super().search(x, k)

    model = types.SimpleNamespace(latent_dim=5, k=n_clusters, device=torch.device("cpu"))
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compat, "_FaissKmeans", Recording)
        centroids, assigned = NCL.run_kmeans(model, x)
    distances = ((x[:, None] - seen["centroids"]) ** 2).sum(-1)
    assert np.array_equal(assigned.numpy(), distances.argmin(1))
    assert torch.allclose(centroids, torch.nn.functional.normalize(torch.tensor(seen["centroids"])))
    assert centroids.shape == (n_clusters, 5) and assigned.dtype == torch.int64
    assert "faiss" not in sys.modules
    again = NCL.run_kmeans(model, x)
    assert torch.equal(again[0], centroids) and torch.equal(again[1], assigned)


def test_ldiffrec_clusters_the_items():
    from recbole.model.general_recommender.ldiffrec import AutoEncoder

    items = torch.cat([torch.zeros(4, 3), torch.ones(6, 3)]) + 0.01 * torch.rand(10, 3)
    encoder = AutoEncoder(items, n_cate=2, in_dims=[8, 4], out_dims=[], device="cpu", act_func="tanh", reparam=True)
    assert sorted(sorted(ids.tolist()) for ids in encoder.category_idx) == [[1, 2, 3, 4], [5, 6, 7, 8, 9, 10]]
    assert "kmeans_pytorch" not in sys.modules


@pytest.mark.parametrize("name", ["ract", "neumf", "nais", "convncf"])
def test_pretrained_files_hold_a_config(name, tmp_path):
    module = importlib.import_module(f"recbole.model.general_recommender.{name}")
    path = tmp_path / "pretrained.pth"
    torch.save({"config": Counter(a=1), "logger": logging.getLogger("x"), "state_dict": {}}, path, pickle_protocol=4)
    assert module.torch.load(path)["config"] == Counter(a=1)
    assert module.torch.load(path, map_location="cpu")["state_dict"] == {}
    assert module.torch.Tensor is torch.Tensor and module.torch.nn is torch.nn
    assert torch.load.__module__ == "torch.serialization"


def test_relations_of_ksr_are_float32(monkeypatch):
    module = importlib.import_module("recbole.model.sequential_recommender.ksr")
    config = dict(
        USER_ID_FIELD="user_id", ITEM_ID_FIELD="item_id", LIST_SUFFIX="_list", ITEM_LIST_LENGTH_FIELD="length",
        NEG_PREFIX="neg_", MAX_ITEM_LIST_LENGTH=5, RELATION_ID_FIELD="relation_id", ENTITY_ID_FIELD="entity_id",
        embedding_size=4, kg_embedding_size=4, hidden_size=4, loss_type="CE", num_layers=1, dropout_prob=0.0,
        gamma=1.0, device=torch.device("cpu"), freeze_kg=False,
    )  # fmt: skip
    vectors = np.arange(24, dtype=np.float64).reshape(6, 4)
    counts = {"entity_id": 6, "item_id": 6, "relation_id": 3}
    data = types.SimpleNamespace(
        num=lambda field: counts.get(field, 2), get_preload_weight=lambda field: vectors, relation_num=3, entity_num=6
    )
    model = module.KSR(config, data)
    assert model.relation_Matrix.dtype == torch.float32
    assert torch.equal(model.relation_Matrix.double(), torch.from_numpy(vectors[: len(model.relation_Matrix)]))


@pytest.mark.parametrize("enabled", [False, True])
def test_sine_leaves_anomaly_detection_as_it_was(enabled):
    module = importlib.import_module("recbole.model.sequential_recommender.sine")
    with torch.autograd.set_detect_anomaly(enabled, check_nan=False):
        importlib.reload(module)
        assert torch.is_anomaly_enabled() == enabled and not torch.is_anomaly_check_nan_enabled()


def test_anomaly_detection_ends_where_sine_was_imported_before():
    printed = fresh("""
        import recbole.model.sequential_recommender
        import recbole_sigma, torch
        print(torch.is_anomaly_enabled())
    """)
    assert printed == "False"


# ------------------------------------------------------------------------------------ evaluation and training


def test_collector_returns_counts_as_they_are():
    from recbole.evaluator import Collector

    collector = object.__new__(Collector)
    collector.data_struct = importlib.import_module("recbole.evaluator.collector").DataStruct()
    counter = Counter({3: 2})
    for name, value in {"data.num_items": 7, "data.count_items": counter, "rec.items": torch.ones(2, 3)}.items():
        collector.data_struct.set(name, value)
    for _ in range(2):  # the counts stay for the next evaluation
        collector.data_struct.set("rec.items", torch.ones(2, 3))
        returned = collector.get_data_struct()
        assert returned.get("data.num_items") == 7 and isinstance(returned.get("data.num_items"), int)
        assert returned.get("data.count_items") == counter
        assert torch.equal(returned.get("rec.items"), torch.ones(2, 3))
        assert "rec.items" not in collector.data_struct


def test_metrics_with_counts_of_a_loader(synthetic, monkeypatch):
    """ItemCoverage and the like, of hand-made recommendations and of both kinds of loader."""
    from recbole.evaluator import Collector, Evaluator

    loader = importlib.import_module("recbole.data.dataloader.knowledge_dataloader").KnowledgeBasedDataLoader
    metrics = ["ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"]
    split = {"split": {"RS": [1, 0, 0]}, "order": "RO", "group_by": None, "mode": "full"}
    columns = {"inter": ["user_id", "item_id"]}
    data = frames(monkeypatch, "synthetic", load_col=columns, metrics=metrics, topk=[2], eval_args=split,
                  valid_metric="ItemCoverage@2")  # fmt: skip
    train = data_preparation(data.config, data)[0]
    knowledge = object.__new__(loader)
    knowledge._dataset = train._dataset
    for of in (train, knowledge):
        collector = Collector(data.config)
        collector.data_collect(of)
        collector.data_struct.set("rec.items", torch.tensor([[1, 2], [1, 3]]))
        result = Evaluator(data.config).evaluate(collector.get_data_struct())
        assert result["itemcoverage@2"] == 1  # i1, i2 and i3
        assert result["averagepopularity@2"] == pytest.approx((2 + 1 + 2 + 1) / 4)
        assert result["shannonentropy@2"] == pytest.approx(-(0.5 * np.log(0.5) + 0.5 * np.log(0.25)), abs=1e-3)


def test_a_loader_holds_no_list_of_its_rows(synthetic, monkeypatch):
    data = frames(monkeypatch, "synthetic", load_col={"inter": ["user_id", "item_id"]})
    train = data_preparation(data.config, data)[0]
    rows = vars(train)["dataset"]  # as an attribute, it is RecBole's data set
    assert isinstance(rows, range) and len(rows) == train.sample_size > 0
    module = importlib.import_module("recbole.data.dataloader.abstract_dataloader")
    assert module.list((1, 2)) == [1, 2]


def test_numpy_names_inside_recbole_only():
    for name in ("data.interaction", "data.dataset.dataset", "evaluator.metrics"):
        assert importlib.import_module(f"recbole.{name}").np.float in (float, np.float64)
    interaction = importlib.import_module("recbole.data.interaction")
    assert interaction._convert_to_tensor([np.float64(1.5), 2.5]).tolist() == [1.5, 2.5]
    assert interaction.np.zeros is np.zeros and interaction.np.random is np.random
    if int(np.__version__.split(".")[0]) >= 2:
        assert not hasattr(np, "float") and not hasattr(np, "float_")


def test_random_state_of_the_search_has_integers():
    module = importlib.import_module("recbole.trainer.hyper_tuning")
    drawn = module.np.random.RandomState(7).integers(5, size=100)
    assert np.array_equal(drawn, np.random.RandomState(7).randint(5, size=100))
    assert module.np.random.RandomState(7).uniform() == np.random.RandomState(7).uniform()
    assert module.np.str in (str, np.str_) and not hasattr(np.random.RandomState, "integers")


def test_mixed_precision_does_not_warn():
    amp = importlib.import_module("recbole.trainer.trainer").amp
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaler = amp.GradScaler(enabled=False)
        with amp.autocast(enabled=False):
            assert scaler.scale(torch.tensor(2.0)).item() == 2
    assert not scaler.is_enabled()


def test_distributed_data_parallel_on_cpu(tmp_path):
    from recbole.trainer.trainer import AbstractTrainer

    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        trainer = AbstractTrainer({"single_spec": False, "local_rank": 0}, module)
        assert isinstance(trainer.distributed_model, torch.nn.parallel.DistributedDataParallel)
        assert trainer.distributed_model.device_ids is None
        assert type(trainer.model[1]) is torch.nn.BatchNorm1d
        trainer.distributed_model(torch.rand(4, 3)).square().sum().backward()
        assert module[0].weight.grad is not None
    finally:
        torch.distributed.destroy_process_group()


# ------------------------------------------------------------------------------------------- which are applied


REPAIRS = sorted({f.__name__: f for functions in compat._REPAIRS.values() for f in functions}.items())


@pytest.mark.parametrize("name, function", REPAIRS, ids=[name for name, _ in REPAIRS])
def test_every_repair_says_what_and_where(name, function):
    text = " ".join(function.__doc__.split())
    assert ".py:" in text, "the upstream file and line"
    assert isinstance(function.needed(), bool)


@pytest.mark.parametrize("needed", [True, False])
def test_a_repair_is_applied_only_where_needed(needed, monkeypatch):
    done = []

    def mend(module):
        done.append(module)

    mend.needed = lambda: needed
    monkeypatch.setattr(compat, "_REPAIRS", {"some.module": [mend]})
    module = types.ModuleType("some.module")
    compat._mend(module, compat._due("some.module"))
    assert done == [module] * needed
    assert module._recbole_sigma_repairs == ("mend",) * needed


def test_older_libraries_need_fewer_repairs(monkeypatch):
    """The predicates see the feature or version that they are about."""
    needed = {name: function.needed for name, function in REPAIRS}
    monkeypatch.setattr(np, "float_", np.float64, raising=False)
    monkeypatch.setattr(pd, "__version__", "2.0.3")
    monkeypatch.setattr(torch, "__version__", "2.1.0+cpu")
    monkeypatch.setattr(recbole, "__version__", "1.2.0")
    monkeypatch.setattr(sparse.dok_matrix, "_update", dict.update, raising=False)
    monkeypatch.delattr(torch.amp, "GradScaler", raising=False)
    for module in ("faiss", "kmeans_pytorch", "ray"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    assert sorted(name for name in needed if needed[name]()) == [
        "alias_table", "anomaly_detection_of_sine", "barrier_of_download", "counts_of_pop", "counts_without_padding",
        "dataset_of_knowledge_loader", "distributed_on_cpu", "empty_places", "empty_places_of_counts",
        "entropy_is_a_sum", "fast_csv", "first_interactions", "integers_of_random_state", "negatives_of_pop",
        "popularity_of_lists", "popularity_of_samplers", "relations_of_ksr", "rows_of_a_loader",
        "training_data_of_repeatable_sampler", "users_with_every_item",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "version, expected",
    [
        ("2.0.3", []),
        ("2.1.4", ["warning_about_len"]),
        ("2.2.0", ["fill_nan", "strings_as_objects", "warning_about_len"]),
        ("2.3.3", ["fill_nan", "strings_as_objects", "warning_about_len"]),
        ("3.0.0", ["fill_nan", "len_of_each_row", "strings_as_objects", "writable_tensors"]),
    ],
)
def test_each_pandas_gets_the_repairs_for_what_it_warns_of_or_has_changed(version, expected, monkeypatch):
    monkeypatch.setattr(pd, "__version__", version)
    of_pandas = {"fill_nan", "len_of_each_row", "strings_as_objects", "warning_about_len", "writable_tensors"}
    assert sorted(name for name, function in REPAIRS if name in of_pandas and function.needed()) == expected


def test_feature_types_of_the_reader():
    """``strings_as_objects`` knows sequences by the end of their column's name."""
    assert {kind.value for kind in FeatureType if kind.value.endswith("_seq")} == {"token_seq", "float_seq"}
