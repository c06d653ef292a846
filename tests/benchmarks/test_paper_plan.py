"""Which runs the paper's tables consist of, and which records are theirs."""

from itertools import groupby

import pytest

from benchmarks.paper.identity import is_record_of, resolve
from benchmarks.paper.plan import HERE, fixed_settings, plan, read_table, rows_of, table_names
from recbole_sigma.config.reading import read_user_file
from recbole_sigma.errors import ConfigError
from tests.benchmarks.made_up import record, table

OFFICE = "amazon-office-products"


def test_every_table_of_the_paper_is_read():
    assert table_names() == "figure2 search table2 table3 table4 table5 table6 variants".split()
    for name in table_names():
        assert read_table(name).datasets


@pytest.mark.parametrize("name", table_names())
def test_every_run_of_a_table_is_another_one(name):
    for dataset in read_table(name).datasets:
        runs = plan(read_table(name), dataset, {})
        assert (
            len({run.hash for run in runs})
            == len(runs)
            == len(rows_of(read_table(name), dataset)) * len(read_table(name).datasets[dataset].seeds)
        )


def test_table_2_has_five_seeds_on_office_and_three_on_the_others():
    assert {name: len(own.seeds) for name, own in read_table("table2").datasets.items()} == {
        OFFICE: 5,
        "amazon-beauty": 3,
        "amazon-toys-games": 3,
    }


def test_tables_share_the_runs_of_sigma_as_it_is_selected():
    selected = {"SIGMA": {"hidden_size": 128}}
    of_tables = [
        {run.hash for run in plan(read_table(name), OFFICE, selected) if run.label == "SIGMA"}
        for name in ("table2", "table3", "table4", "table5")
    ]
    assert len(of_tables[0]) == 5 and all(hashes == of_tables[0] for hashes in of_tables)


def test_a_run_of_two_rows_comes_once(tmp_path):
    rows = [
        {"label": "a", "model": "SIGMA"},
        {"label": "b", "model": "SIGMA", "settings": {"prior": "mixture"}},  # the default
        {"label": "c", "model": "SIGMA", "settings": {"prior": "standard"}},
    ]
    assert [run.label for run in plan(table(tmp_path, rows=rows), "ml-100k", {}, seeds=[1])] == ["a", "c"]


def test_all_rows_with_the_first_seed_come_first(tmp_path):
    runs = plan(table(tmp_path), "ml-100k", {})
    assert [(run.seed, run.label) for run in runs] == [(1, "BPR"), (1, "SIGMA"), (2, "BPR"), (2, "SIGMA")]


def test_models_and_seeds_may_be_chosen(tmp_path):
    (run,) = plan(table(tmp_path), "ml-100k", {}, ["SIGMA"], [2])
    assert (run.label, run.seed) == ("SIGMA", 2)


def test_settings_of_a_row_are_above_the_selected_ones_and_those_above_the_data_sets(tmp_path):
    rows = [{"label": "SIGMA", "model": "SIGMA", "settings": {"n_layers": 2}}]
    datasets = {"ml-100k": {"seeds": [1], "settings": {"n_layers": 3, "n_heads": 1, "epochs": 4}}}
    selected = {"SIGMA": {"n_layers": 1, "n_heads": 4}, "BPR": {"embedding_size": 1}}
    (run,) = plan(table(tmp_path, rows=rows, datasets=datasets), "ml-100k", selected)
    assert run.given == {**fixed_settings("SIGMA"), "n_layers": 2, "n_heads": 4, "epochs": 4}
    assert all(run.settings[key] == value for key, value in run.given.items())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["ml-1m", {}], "data set 'ml-1m' is not in small; expected ml-100k"),
        (["ml-100k", {}, ["SASRec"]], "model 'SASRec' is not in small; expected BPR, SIGMA"),
        (["ml-100k", {}, None, [3]], "seed 3 is not in small; expected 1, 2"),
        (["ml-100k", {"SIGMA": {"no_such_key": 1}}], "SIGMA on ml-100k: no_such_key"),
    ],
)
def test_what_is_not_in_a_table_is_refused(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        plan(table(tmp_path), *arguments)


@pytest.mark.parametrize("content", [{"datasets": ["ml-100k"]}, {"rows": [{"label": "a"}]}, {"datasets": {"a": {}}}])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    with pytest.raises(ConfigError, match="expected title, datasets"):
        table(tmp_path, **content)


@pytest.mark.parametrize(
    "content",
    [{"rows": []}, {"datasets": {}}, {"datasets": {"a": {"seeds": []}}}, {"datasets": {"a": {"seeds": 1}}}],
)
def test_a_table_without_runs_is_refused(tmp_path, content):
    with pytest.raises(ConfigError, match="small.yaml: expected"):
        table(tmp_path, **content)


@pytest.mark.parametrize("metric", ["recall@30", "mrr@20", "recall"])
def test_metrics_that_the_runs_do_not_have_are_refused(tmp_path, metric):
    own = table(tmp_path, metrics=["recall@20", metric])
    with pytest.raises(ConfigError, match=f"BPR on ml-100k: {metric} is not evaluated; expected recall@20, recall@40,"):
        plan(own, "ml-100k", {})


def test_an_unknown_table_is_refused():
    with pytest.raises(ConfigError, match="'table9' is not known; expected figure2, search"):
        read_table("table9")


# Records ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    rows = [{"label": "SIGMA", "model": "SIGMA", "settings": {"prior": "standard"}}]
    (run,) = plan(table(tmp_path, rows=rows), "ml-100k", {}, seeds=[1])
    return run


def with_settings(run, **changes):
    settings = {key: value for key, value in {**run.settings, **changes}.items() if value is not ...}
    return record(run, settings=settings)


def test_a_record_of_the_same_settings_is_of_the_run(run):
    assert is_record_of(record(run), run)


@pytest.mark.parametrize("key, value", [("seed", 2), ("model", "BPR"), ("dataset", "ml-1m")])
def test_a_record_of_another_run_is_not(run, key, value):
    assert not is_record_of({**record(run), key: value}, run)


@pytest.mark.parametrize("changes", [{"n_layers": 9}, {"prior": "mixture"}, {"topk": [10]}, {"metrics": ["Recall"]}])
def test_a_record_of_other_settings_is_not(run, changes):
    assert not is_record_of(with_settings(run, **changes), run)


def test_a_setting_that_the_plugin_has_no_longer_does_not_matter(run):
    assert is_record_of(with_settings(run, abolished=3), run)


@pytest.mark.parametrize("key", ["scorer", "prior"])
def test_a_record_without_a_planned_setting_is_of_another_run_even_if_that_is_the_default(run, key):
    assert not is_record_of(with_settings(run, **{key: ...}), run)


@pytest.mark.parametrize(
    "other", [{"train_targets": "cut"}, {"learning_rate_schedule": "cosine"}, {"warmup_epochs": 1}]
)
def test_a_record_from_before_a_setting_is_of_a_run_that_does_the_same(run, other):
    older = with_settings(run, train_targets=..., min_history=..., learning_rate_schedule=..., warmup_epochs=...)
    assert is_record_of(older, run)
    assert not is_record_of(older, run._replace(settings={**run.settings, **other}))


def test_a_record_without_a_setting_is_not_of_a_run_that_sets_it_to_nothing(run):
    assert not is_record_of(with_settings(run), run._replace(settings={**run.settings, "unknown": None}))


def test_surroundings_are_no_settings_of_a_run():
    given = {"data_path": "elsewhere", "checkpoint_dir": "other", "use_gpu": False, "seed": 7, "show_progress": False}
    assert resolve("SIGMA", "ml-100k", given) == resolve("SIGMA", "ml-100k", {})
    assert {"topk", "metrics", "eval_args", "learning_rate"} <= resolve("SIGMA", "ml-100k", {}).keys()


# Search -------------------------------------------------------------------------------------------------------------

SPACE = {"embedding_size": [64, 128], "learning_rate": [0.001, 0.002, 0.004], "weight_decay": [0.0, 1e-6]}


def search(folder, trials=5, seed=0, **spaces):
    content = {"trials": trials, "draws_seed": seed, "spaces": spaces or {"BPR": SPACE, "GRU4Rec": SPACE}}
    return table(folder, rows=[], datasets={"ml-100k": {"seeds": [1]}}, **content)


def draws(*arguments, **keywords):
    return [row.settings for row in rows_of(search(*arguments, **keywords), "ml-100k") if row.model == "BPR"]


def test_every_model_has_as_many_trials_the_first_of_them_the_defaults(tmp_path):
    rows = rows_of(search(tmp_path), "ml-100k")
    assert [[row.model for row in trial] for _, trial in groupby(rows, lambda row: row.label.split()[-1])] == [
        ["BPR", "GRU4Rec"]
    ] * 5
    assert rows[0].settings == rows[1].settings == {} and rows[2].settings


def test_the_search_of_the_paper_gives_every_model_as_many_trials():
    own = read_table("search")
    models = [row.model for row in rows_of(own, OFFICE)]
    assert {models.count(model) for model in models} == {own.search.trials}
    assert {row.model for row in read_table("table2").rows} == set(models)


def test_trials_are_distinct_and_within_the_space(tmp_path):
    drawn = draws(tmp_path, trials=12)
    assert len({str(sorted(settings.items())) for settings in drawn}) == 12
    assert all(value in SPACE[key] for settings in drawn for key, value in settings.items())
    defaults = resolve("BPR", "ml-100k", {})
    assert all(any(defaults[key] != value for key, value in settings.items()) for settings in drawn[1:])


def test_a_seed_decides_the_draws_and_a_longer_search_begins_with_a_shorter_one(tmp_path):
    assert draws(tmp_path, trials=8)[:5] == draws(tmp_path) != draws(tmp_path, seed=1)


@pytest.mark.parametrize(
    "trials, space, message",
    [
        (13, SPACE, "has 11 combinations besides the defaults; expected at least 12"),
        (2, {"nothing": [1]}, "has unknown keys: nothing; expected"),
    ],
)
def test_a_space_that_is_too_small_or_of_another_model_is_refused(tmp_path, trials, space, message):
    with pytest.raises(ConfigError, match=message):
        rows_of(search(tmp_path, trials=trials, BPR=space), "ml-100k")


def test_a_search_builds_on_the_defaults_whatever_is_selected(tmp_path):
    own = search(tmp_path)
    assert plan(own, "ml-100k", {"BPR": {"embedding_size": 8}}) == plan(own, "ml-100k", {})


def test_a_search_trains_with_one_seed(tmp_path):
    with pytest.raises(ConfigError, match="expected one seed"):
        table(tmp_path, rows=[], trials=1, draws_seed=0, spaces={})


# The paper's numbers ------------------------------------------------------------------------------------------------


def test_the_numbers_of_the_paper_are_of_rows_and_metrics_of_its_tables():
    published = read_user_file(HERE / "published.yaml")
    assert list(published) == ["table2", "table3", "table4", "table5", "table6"]
    for name, of_datasets in published.items():
        own = read_table(name)
        names = {row.published for row in own.rows}
        for dataset, rows in of_datasets.items():
            assert dataset in own.datasets
            assert name == "table2" or rows.keys() == names
            assert all(numbers.keys() <= set(own.metrics) for numbers in rows.values())
    for rows in published["table2"].values():
        assert len(rows) == 11 and {"BPRMF", "LightGCN", "Bert4Rec", "SASRec", "SIGMA"} <= rows.keys()


def test_the_paper_improves_on_its_best_baseline_by_what_it_prints():
    """A check of the transcription, against the last line of table 2; four digits give it within 0.15."""
    printed = {
        "amazon-beauty": (6.69, 6.41, 2.13, 5.77),
        OFFICE: (9.25, 3.70, 9.95, 6.61),
        "amazon-toys-games": (1.86, 2.09, 1.94, 2.38),
    }
    for dataset, rows in read_user_file(HERE / "published.yaml")["table2"].items():
        for metric, improvement in zip(("recall@20", "recall@40", "ndcg@20", "ndcg@40"), printed[dataset]):
            best = max(numbers[metric] for name, numbers in rows.items() if name != "SIGMA")
            assert 100 * (rows["SIGMA"][metric] / best - 1) == pytest.approx(improvement, abs=0.15), (dataset, metric)
