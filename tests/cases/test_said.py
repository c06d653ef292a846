"""What was evaluated is said, and tables are complete."""

import json
import math
import random

import pytest

from recbole_sigma import compare_models, run_recbole_sigma
from recbole_sigma.cli import main
from tests.cases.made_up import HEADER, base, write_atomic

SMALL = {"epochs": 1, "topk": [5], "valid_metric": "Recall@5", "show_progress": False, "state": "warning"}
OWN = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(folder, settings):
    return [f"--{key}={value}" for key, value in {"data_path": folder, **settings}.items()]


def short_histories(lengths):
    """30 users of each length."""
    return [
        (f"u{length}-{user}", f"i{(user + place) % 20}", 100 + place)
        for length in lengths
        for user in range(30)
        for place in range(length)
    ]


@pytest.mark.parametrize("model, own", [("SASRecAP", OWN), ("BPR", {})])
def test_case_24_users_tested_and_left_out_are_said(here, model, own, capsys):
    write_atomic(here, short_histories([1, 2, 3, 4]))
    assert main([f"--model={model}", "--dataset=d", *options(here, {**SMALL, **own, "state": "info"})]) == 0
    printed = capsys.readouterr()
    tested = "ested: 60 of 120 users on 60 interactions; left out: 30 with 1 interaction, 30 with 2 interactions"
    validated = (
        "alidated: 30 of 120 users on 30 interactions; left out: 30 with 1 interaction, 30 with 2 interactions, "
        "30 with 3 interactions"
    )
    for text in (tested, validated):
        assert text in printed.out and text in printed.err


def test_case_24_the_result_has_the_numbers(here):
    write_atomic(here, short_histories([1, 2, 3, 4]))
    result = json.loads(json.dumps(run_recbole_sigma("BPR", "d", config_dict={"data_path": str(here), **SMALL})))
    assert result["tested"]["users"] == result["tested"]["targets"] == result["tested"]["rows"] == 60
    assert result["tested"]["left_out"] == {"with 1 interaction": 30, "with 2 interactions": 30}
    assert result["validated"]["users"] == 30 and sum(result["validated"]["left_out"].values()) == 90
    assert result["data"] == {"users": 120, "items": 20, "interactions": 300, "removed": {}}


@pytest.mark.parametrize("model, own", [("SASRecAP", OWN), ("BPR", {})])
def test_case_24_nobody_to_validate_is_a_warning(here, model, own, capsys):
    write_atomic(here, short_histories([1, 2, 3]))
    assert main([f"--model={model}", "--dataset=d", *options(here, {**SMALL, **own})]) == 0
    printed = capsys.readouterr()
    assert "no user is validated, so there is nothing to choose the best epoch by" in printed.err
    assert "No user is validated: eval_args leave no interaction of 90 users for it." in printed.out
    assert "None" not in printed.out and "30 of 90 users" in printed.out


@pytest.mark.parametrize("model, own", [("SASRecAP", OWN), ("BPR", {})])
def test_case_24_nobody_to_test_is_a_sentence(here, model, own, capsys):
    write_atomic(here, short_histories([1, 2]))
    assert main([f"--model={model}", "--dataset=d", *options(here, {**SMALL, **own})]) == 0
    printed = capsys.readouterr()
    assert "no user is tested" in printed.err
    assert (
        "No user is tested: eval_args leave no interaction of 60 users for it. There is no test result." in printed.out
    )
    assert "None" not in printed.out and "|  |" not in printed.out


def test_case_24_users_removed_by_a_filter_are_said(here):
    write_atomic(here, short_histories([1, 2, 3, 4]))
    settings = {"data_path": str(here), **SMALL, "user_inter_num_interval": "[3,inf)"}
    result = compare_models(["Pop"], "d", config_dict=settings)
    by = "user_inter_num_interval or item_inter_num_interval"
    assert result["rows"][0]["data"]["removed"] == {by: {"interactions": 90, "users": 60}}
    assert f"filters left out 90 interactions and 60 users ({by})" in result["table"]
    assert "Tested: all 60 users" in result["table"]


def test_the_size_of_the_data_is_printed_without_the_padding(here, capsys):
    write_atomic(here, base())
    main(["--model=Pop", "--dataset=d", *options(here, {**SMALL, "state": "info"})])
    assert "d: 60 users, 40 items, 637 interactions" in capsys.readouterr().err


def test_repeats_are_counted_beside_the_table(here):
    """The last purchase of 30 users repeats the first one; that of 30 others is new."""
    rows = []
    for user in range(60):
        items = [(user + place) % 30 for place in range(5)] + [user % 30 if user < 30 else (user + 10) % 30]
        rows += [(f"u{user}", f"i{item}", 100 + place) for place, item in enumerate(items)]
    write_atomic(here, rows)
    settings = {"data_path": str(here), **SMALL}
    result = compare_models(["Pop"], "d", config_dict=settings)
    assert result["rows"][0]["tested"]["repeats"] == 30
    assert "60 rows, one for each user" in result["table"]
    assert "an item that the user had before: 30 (50.0%)" in result["table"]


# Case 7


RATED = {"threshold": "{rating: 4}", "load_col": "{inter: [user_id, item_id, timestamp, rating]}"}


def cells(table):
    header, _, *rows = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("|")]
    return [{name.strip(): cell.strip() for name, cell in zip(header, row)} for row in rows]


def test_case_07_metrics_of_single_pairs_are_in_the_table(here, capsys):
    draw = random.Random(0)
    rated = [(*row, draw.randint(1, 5)) for row in base()]
    write_atomic(here, rated, header=(*HEADER, "rating:float"))
    settings = {**SMALL, **RATED, "metrics": "['AUC','LogLoss','MAE','RMSE']", "valid_metric": "AUC"}
    assert main(["--model=DeepFM,FM", "--dataset=d", *options(here, settings)]) == 0
    printed = capsys.readouterr().out
    written = json.loads(next((here / "saved").glob("*.json")).read_text())
    for row, result in zip(cells(printed), written["rows"]):
        for name in ("AUC", "LogLoss", "MAE", "RMSE"):
            value, _, error = row[name].partition(" ± ")
            assert float(value) == pytest.approx(result["test_result"][name.lower()], abs=5e-5)
            assert bool(error) == (name in ("LogLoss", "MAE"))
    assert "AUC, RMSE: no mean over users" in printed


def test_case_07_gauc_is_in_the_table_beside_lists_of_two_lengths(here):
    write_atomic(here, base())
    settings = {"data_path": str(here), **SMALL, **OWN, "metrics": ["GAUC", "Recall"], "topk": [5, 10]}
    result = compare_models(["SASRecAP"], "d", config_dict={**settings, "valid_metric": "GAUC"})
    (row,) = cells(result["table"])
    assert list(row)[1:4] == ["GAUC", "Recall@5", "Recall@10"]
    for name in ("GAUC", "Recall@5", "Recall@10"):
        value, error = map(float, row[name].split(" ± "))
        assert value == pytest.approx(result["rows"][0]["test_result"][name.lower()], abs=5e-5) and error > 0


# Case 10


def knowledge(folder, without):
    """``base`` and a graph that the items from number ``without`` on are linked to."""
    write_atomic(folder, base())
    linked = range(without, 40)
    write_atomic(folder, [(f"i{i}", f"e{i}") for i in linked], ("item_id:token", "entity_id:token"), suffix="link")
    triples = [(f"e{i}", "r", f"e{without + (i + step - without) % len(linked)}") for i in linked for step in (1, 2)]
    write_atomic(folder, triples, ("head_id:token", "relation_id:token", "tail_id:token"), suffix="kg")


def last_items(rows):
    """The last item of each user."""
    last = {}
    for user, item, time in rows:
        if user not in last or time > last[user][1]:
            last[user] = item, time
    return {(user, item) for user, (item, _) in last.items()}


def test_case_10_a_model_with_other_rows_says_so(here):
    knowledge(here, without=8)
    result = compare_models(["Pop", "CKE", "BPR"], "d", config_dict={"data_path": str(here), **SMALL})
    linked = [row for row in base() if int(row[1][1:]) >= 8]
    common = len(last_items(base()) & last_items(linked))
    note = (
        f"CKE: not comparable with Pop: tested on 60 interactions of 60 users, {common} of them among the 60 of Pop; "
        f"left out of its data: {637 - len(linked)} interactions (items without a link to the knowledge graph); its "
        f"data have {len(linked)} interactions, those of Pop 637."
    )
    assert note in result["table"]
    pop, cke, bpr = result["rows"]
    assert cke["other_rows"] == note[:-1] and "other_rows" not in bpr
    assert cke["data"]["interactions"] == len(linked) and pop["data"]["interactions"] == 637
    assert pop["tested"] == bpr["tested"] and pop["tested"]["digest"] != cke["tested"]["digest"]


def test_case_10_a_graph_of_all_items_gives_the_same_rows(here):
    knowledge(here, without=0)
    result = compare_models(["Pop", "CKE"], "d", config_dict={"data_path": str(here), **SMALL})
    pop, cke = result["rows"]
    assert pop["tested"] == cke["tested"] and "not comparable" not in result["table"]


def test_rows_of_sequential_and_general_models_are_the_same_in_leave_one_out(here):
    write_atomic(here, short_histories([1, 2, 3, 4]))
    result = compare_models(["BPR", "SASRecAP", "Pop"], "d", config_dict={"data_path": str(here), **SMALL, **OWN})
    first, *others = result["rows"]
    assert all(other["tested"] == first["tested"] and "other_rows" not in other for other in others)
    assert "not comparable" not in result["table"]


def test_a_ratio_split_says_how_the_rows_of_a_sequential_model_differ(here):
    write_atomic(here, base())
    settings = {"data_path": str(here), **SMALL, **OWN, "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}}
    result = compare_models(["BPR", "SASRecAP"], "d", config_dict=settings)
    lengths = {}
    for user, _, _ in base():
        lengths[user] = lengths.get(user, 0) + 1
    general = sum(math.floor(0.2 * length) for length in lengths.values())
    sequential = sum(math.floor(0.2 * (length - 1)) for length in lengths.values())
    bpr, own = result["rows"]
    assert (bpr["tested"]["targets"], bpr["tested"]["rows"]) == (general, 60)
    assert (own["tested"]["targets"], own["tested"]["rows"]) == (sequential, sequential)
    assert (
        f"tested on {sequential} interactions of 60 users, {sequential} of them among the {general} of BPR"
        in (own["other_rows"])
    )
