"""Random input gives a result or a RecBoleSigmaError; it changes no file and runs no code."""

import io
import os
import pickle
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scipy import sparse

from recbole_sigma.training import checkpoint
from recbole_sigma.config import Config
from recbole_sigma.config.keys import known_keys
from recbole_sigma.defaults import own_folder
from recbole_sigma.data import create_dataset
from recbole_sigma.data.tables import Columns, read_table
from recbole_sigma.data.titles import read_item_titles
from recbole_sigma.errors import CheckpointError, RecBoleSigmaError
from recbole_sigma.model import SIGMA
from recbole_sigma.quick_start import build_run

FEW, MORE = settings(max_examples=60), settings(max_examples=150)


@contextmanager
def written(files):
    """A folder with files, given as bytes by name, which are unchanged at the end."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)
        assert {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()} == {*files}
        for name, content in files.items():
            assert Path(folder, name).read_bytes() == content


def result_or_refusal(function, *arguments, **keywords):
    """What a call returns, or None if it raises an error about its input."""
    try:
        return function(*arguments, **keywords)
    except RecBoleSigmaError as error:
        assert str(error)
        return None


@st.composite
def damaged(draw, content):
    """Bytes of which some are replaced, removed, doubled, inserted or cut off."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        end = place + draw(st.integers(0, 8))
        kind = draw(st.sampled_from(["cut", "replace", "insert", "double"]))
        if kind == "cut":
            del content[place : len(content) if draw(st.booleans()) else end]
        elif kind == "double":
            content[place:place] = content[place:end]
        else:
            content[place : place + (kind == "replace")] = draw(ODD_BYTES)
    return bytes(content)


ODD_BYTES = st.sampled_from(
    [b"\t", b"\n", b"\r", b'"', b"\0", b":", b",", b" ", b"\xff", b"\xef\xbb\xbf", b"-"]
) | st.binary(max_size=4)
CELLS = st.sampled_from(
    ["", "u", "i", "j", "1", "-1", "1.5", "nan", "inf", "1e999", "x y", '"', '"a"', "NA", "[PAD]"]
) | st.text(max_size=3)
COLUMNS = [
    *("user_id:token", "item_id:token", "timestamp:float"),
    *("user_id:float", "item_id:token_seq", "timestamp:token", "timestamp:float_seq", "rating:float", "x:token_seq"),
    *("y:float_seq", "z:token", "user_id", ":token", "a:b:token", "item_id_list:token_seq", "label:float", ""),
]


def lines(header, rows, separator="\t"):
    return "\n".join(separator.join(row) for row in [header, *rows]).encode("utf-8", "surrogatepass") + b"\n"


GOOD = lines(COLUMNS[:3], [(f"u{n % 4}", f"i{n % 7}", f"{n}.5") for n in range(24)])
TABLES = st.builds(
    lines,
    st.just(COLUMNS[:3]) | st.lists(st.sampled_from(COLUMNS), max_size=5),
    st.lists(st.lists(CELLS, min_size=3, max_size=3) | st.lists(CELLS, max_size=5), max_size=8),
)
ITEMS = lines(["item_id:token", "title:token", "class:token_seq"], [(f"i{n}", "a title", "a b") for n in range(7)])


SMALL = {"topk": 5, "valid_metric": "Recall@5"}


def load(folder, **keywords):
    config = Config("SIGMA", "t", config_dict={"data_path": str(folder), "title_field": "title", **keywords})
    dataset = create_dataset(config)
    dataset.build()
    return dataset


@MORE
@given(damaged(GOOD) | TABLES | st.binary(max_size=60), st.sampled_from([{}, {"load_col": None}]))
def test_atomic_files(content, keywords):
    with written({"t/t.inter": content}) as folder:
        result_or_refusal(load, folder, **keywords)


@FEW
@given(damaged(ITEMS), st.sampled_from(["SIGMA", "BPR"]), st.sampled_from([["Diversity"], ["Recall"]]))
def test_files_of_items(content, model, metrics):
    keywords = {
        "title_field": "title",
        "category_field": "class",
        "metrics": metrics,
        "valid_metric": f"{metrics[0]}@20",
    }
    for columns in (None, {"inter": ["user_id", "item_id", "timestamp"]}):
        with written({"t/t.inter": GOOD, "t/t.item": content}) as folder:
            config = result_or_refusal(
                Config, model, "t", config_dict={"data_path": str(folder), "load_col": columns, **keywords}
            )
            dataset = result_or_refusal(create_dataset, config)
            if dataset is not None:
                result_or_refusal(read_item_titles, dataset)


YAML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["full", "RO", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=4,
)
ELSEWHERE = {"checkpoint_dir", "log_wandb", "gpu_id"}
"""Keys that would write to other folders or use other devices."""
KEYS = sorted(known_keys(SIGMA) - ELSEWHERE)
OVERALL = (own_folder("properties") / "overall.yaml").read_bytes()
YAML_FILES = (
    damaged(OVERALL)
    | st.text(st.sampled_from("ab:-#&*!|>{}[],'\"%@`\n \t?0.1~<="), max_size=30).map(str.encode)
    | st.binary(max_size=20)
    | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), YAML_VALUES, max_size=2).map(
        lambda values: yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass")
    )
)


@MORE
@given(YAML_FILES)
def test_yaml_files(content):
    with written({"my.yaml": content}) as folder:
        result_or_refusal(Config, "SIGMA", "ml-100k", config_file_list=[str(folder / "my.yaml")])


VALUES = YAML_VALUES.map(
    lambda value: yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
) | st.text(max_size=5)


@MORE
@given(st.sampled_from(["SIGMA", "SASRec", "BPR"]), st.sampled_from(KEYS), VALUES)
def test_settings_on_the_command_line(model, key, text):
    with written({"t/t.inter": GOOD, "t/t.item": ITEMS}) as folder:
        config = result_or_refusal(
            Config, model, "t", config_dict={"data_path": str(folder), **SMALL}, argv=[f"--{key}={text}"]
        )
        if config is not None:
            result_or_refusal(build_run, config)


READ = Columns("user_id", "item_id", "timestamp", ("rating",))
CSV = lines(["user_id", "item_id", "timestamp", "rating"], [(f"u{n % 4}", f"i{n}", f"{n}", "4") for n in range(9)], ",")
CSV_TABLES = st.builds(
    lines,
    st.just([*READ.names()]) | st.lists(st.sampled_from([*READ.names(), "x", ""]), max_size=5),
    st.lists(st.lists(CELLS, min_size=4, max_size=4) | st.lists(CELLS, max_size=5), max_size=8),
    st.sampled_from([",", ",", ";"]),
)


def parquet_bytes(table):
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


PARQUET = parquet_bytes(
    pyarrow.table({"user_id": ["u", "v"], "item_id": [1, 2], "timestamp": [1.5, 2.5], "rating": [4, 5]})
)


@MORE
@given(
    st.tuples(st.just("t.csv"), damaged(CSV) | CSV_TABLES | st.binary(max_size=40))
    | st.tuples(st.just("t.inter"), damaged(GOOD) | TABLES | st.binary(max_size=40))
    | st.tuples(st.just("t.parquet"), damaged(PARQUET) | st.binary(max_size=40)),
    st.integers(1, 5),
    st.booleans(),
)
def test_tables(file, rows, rated):
    name, content = file
    with written({name: content}) as folder:
        columns = READ if rated else READ._replace(others=())
        frames = result_or_refusal(lambda: list(read_table(folder / name, columns, rows)))
        for frame in frames or ():
            assert list(frame.columns) and (frame[["user_id", "item_id"]] != "").all(axis=None)
            assert frame["timestamp"].dtype == float and frame["timestamp"].notna().all()


class Payload:
    """A pickle that runs code when it is loaded: it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def state(**parts):
    return {
        "model": "M",
        "config": {"seed": 1},
        "metadata": {"users": 1, "items": 1, "digest": "x", "titles": np.array(["a", "b"], dtype=object)},
        "state_dict": {"weight": torch.ones(1, 2), "bias": torch.ones(1)},
        "other_parameter": {"array": np.arange(3), "matrix": sparse.eye(2, format="csr")},
        **parts,
    }


def saved(state):
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(state, Path(folder, "a.pth"))
        return Path(folder, "a.pth").read_bytes()


SAVED = saved(state())


class Model(torch.nn.Linear):
    """A small model to load checkpoints into."""

    def __init__(self):
        super().__init__(2, 1)

    def load_other_parameter(self, other):
        for name, value in (other or {}).items():
            setattr(self, name, value)


def load_into_a_model(content):
    """The checkpoint, or None if it raised an error."""
    model = Model()
    with written({"a.pth": content}) as folder:
        path = str(folder / "a.pth")
        try:
            loaded = checkpoint.load(path)
            checkpoint.restore(model, loaded, path, "M", {"users": 1, "items": 1, "digest": "x"}, {"seed": 1})
        except CheckpointError as error:
            assert path in str(error)
            return None
    return loaded


def flipped(content, bits):
    content = bytearray(content)
    for bit in bits:
        content[bit // 8 % len(content)] ^= 1 << bit % 8
    return bytes(content)


@MORE
@given(
    st.binary(max_size=100)
    | st.integers(0, len(SAVED) - 1).map(lambda length: SAVED[:length])
    | damaged(SAVED)
    | st.lists(st.integers(0, 8 * len(SAVED) - 1), min_size=1, max_size=3).map(lambda bits: flipped(SAVED, bits))
)
def test_damaged_checkpoints(content):
    load_into_a_model(content)


def test_the_checkpoint_that_other_tests_damage_is_valid():
    assert load_into_a_model(SAVED) is not None


TENSORS = st.sampled_from([torch.ones(1, 2), torch.ones(1), torch.tensor([3, -7]), torch.ones(0), torch.ones(2).bool()])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=3) | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["weight", "bias", "seed", "users", "items", "digest", "a"]) | st.integers(0, 3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
KINDS = st.fixed_dictionaries(
    {"__kind__": st.sampled_from(["ndarray", "texts", "sparse", "other"]) | PLAIN},
    optional={
        **{name: PLAIN | TENSORS for name in ("data", "indices", "indptr", "ends")},
        "text": PLAIN | st.just("abc"),
        "format": PLAIN | st.sampled_from(["csr", "lil", "__class__", "copy", "nothing"]),
        "shape": PLAIN | st.just([2, 2]) | st.just([2**40, 2**40]),
        "array": PLAIN,
    },
)
PARTS = ["format", *state()]


def tensors_saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


@MORE
@given(st.dictionaries(st.sampled_from(PARTS), PLAIN | KINDS | st.dictionaries(st.just("a"), KINDS), max_size=2))
def test_checkpoints_with_the_right_keys_and_something_else_inside(parts):
    load_into_a_model(tensors_saved({**checkpoint.to_plain({"format": checkpoint.FORMAT, **state()}), **parts}))


@pytest.mark.parametrize("form", ["zip", "pickle", "legacy"])
def test_no_code_in_a_checkpoint_is_run(tmp_path, form):
    payload = Payload(tmp_path / "ran")
    plain = checkpoint.to_plain({"format": checkpoint.FORMAT, **state()})
    places = {
        **{part: {**plain, part: payload} for part in PARTS},
        "whole": payload,
        "key": {**plain, (payload,): 1},
        "tensor": {**plain, "state_dict": {"weight": payload, "bias": torch.ones(1)}},
    }
    for place, evil in places.items():
        if form == "pickle":
            content = pickle.dumps(evil)
        else:
            content = tensors_saved(evil, _use_new_zipfile_serialization=form == "zip")
        assert load_into_a_model(content) is None, place
        assert not (tmp_path / "ran").exists(), place


@pytest.mark.parametrize("change", ["add", "twice", "rename", "huge", "empty", "only"])
def test_archives_with_odd_entries(tmp_path, change):
    with zipfile.ZipFile(io.BytesIO(SAVED)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    root = entries[0][0].split("/")[0]
    evil = pickle.dumps(Payload(tmp_path / "ran"))
    entries = {
        "add": [*entries, ("../../outside", b"x"), ("/absolute", b"x")],
        "twice": [*entries, (f"{root}/data.pkl", evil)],
        "rename": [(name.replace("data.pkl", "data.pkl/"), content) for name, content in entries],
        "huge": [(name, content + b"\0" * 10_000_000 * name.endswith("/data/0")) for name, content in entries],
        "empty": [],
        "only": [(f"{root}/data.pkl", evil)],
    }[change]
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in entries:
            archive.writestr(name, content)
    load_into_a_model(file.getvalue())
    assert not (tmp_path / "ran").exists() and not (tmp_path.parent / "outside").exists()
