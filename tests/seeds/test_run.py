"""Several seeds and their average: the same runs as alone, the table by definition, and evaluation by a plain loop."""

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

import recbole_sigma
from recbole_sigma import run_recbole_sigma, run_seeds
from recbole_sigma.cli import main
from recbole_sigma.errors import ConfigError, DataError
from recbole_sigma.model import SIGMA
from recbole_sigma.model.average import AverageModel, ProbabilityAverage
from recbole_sigma.seeds import averaging

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 2, "topk": [5], "learning_rate": 0.01}
SMALL.update(valid_metric="NDCG@5", state="error", show_progress=False)


@pytest.fixture
def settings(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"data_path": str(toy_path), **SMALL}


@pytest.fixture(scope="module")
def finished(toy_path, tmp_path_factory):
    """The result of three seeds and the folder in which it was made."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run_seeds("SASRecAP", "toy", [3, 1, 2], config_dict={"data_path": str(toy_path), **SMALL}), folder


def words(settings, **others):
    return [f"--{key}={value}" for key, value in {**settings, **others}.items()]


def histories_of(toy_path):
    """Items of each user in the order of time."""
    histories = {}
    for line in (toy_path / "toy" / "toy.inter").read_text().splitlines()[1:]:
        user, item, _ = line.split("\t")
        histories.setdefault(user, []).append(item)
    return histories


def metrics_by_loop(paths, toy_path, remove_seen, average, held_out=1, k=5):
    """Recall@5 and NDCG@5 over users from the scores of models that are loaded one by one, in float64."""
    users = list(histories_of(toy_path).values())
    histories = [items[:-held_out] for items in users]
    of_model = [recbole_sigma.load(path, "cpu").recommend(histories, k=40, keep_seen=True) for path in paths]
    hits, gains = [], []
    for items, history, *of_user in zip(users, histories, *of_model):
        target, scores = items[-held_out], {}
        for found in of_user:
            own = dict(zip(found.items, found.scores))
            if average == "probabilities":
                total = math.fsum(math.exp(score) for score in own.values())
                own = {item: math.exp(score) / total for item, score in own.items()}
            for item, score in own.items():
                scores[item] = scores.get(item, 0) + score
        ranked = sorted(scores, key=lambda item: -scores[item])
        if remove_seen:
            ranked = [item for item in ranked if item not in history]
        place = ranked.index(target) + 1 if target in ranked[:k] else None
        hits.append(0.0 if place is None else 1.0)
        gains.append(0.0 if place is None else 1 / math.log2(place + 1))
    return {"recall@5": statistics.fmean(hits), "ndcg@5": statistics.fmean(gains)}


def test_each_seed_is_the_run_that_it_is_alone(finished, settings):
    result, _ = finished
    assert [row["seed"] for row in result["rows"]] == [3, 1, 2]
    alone = run_recbole_sigma("SASRecAP", "toy", config_dict={**settings, "seed": 1})
    for name in ("test_result", "best_valid_result", "test_standard_error", "epochs", "tested"):
        assert result["rows"][1][name] == alone[name]


def test_mean_and_standard_deviation_are_those_of_the_seeds(finished):
    result, _ = finished
    for metric in ("recall@5", "ndcg@5"):
        for phase in ("test_result", "best_valid_result"):
            values = [row[phase][metric] for row in result["rows"]]
            assert len(set(values)) > 1
            assert result["mean"][phase][metric] == pytest.approx(statistics.mean(values), abs=1e-12)
            assert result["standard_deviation"][phase][metric] == pytest.approx(statistics.stdev(values), abs=1e-12)


def test_the_table_has_a_row_for_each_seed_then_mean_spread_and_average(finished):
    result, folder = finished
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in result["table"].splitlines()]
    assert lines[0] == ["model", "Recall@5", "NDCG@5", "s/epoch", "epochs", "parameters", "seed"]
    kind = result["average"]["average"]
    assert [line[0] for line in lines[2:8]] == ["SASRecAP"] * 3 + ["mean", "standard deviation", f"average of {kind}"]
    assert [line[-1] for line in lines[2:8]] == ["3", "1", "2", "-", "-", "3, 1, 2"]
    assert lines[5][2] == f"{result['mean']['test_result']['ndcg@5']:.4f}"
    assert lines[6][2] == f"{result['standard_deviation']['test_result']['ndcg@5']:.4f}"
    assert lines[7][2].startswith(f"{result['average']['test_result']['ndcg@5']:.4f} ± ")
    assert result["average"]["parameters"] == sum(row["parameters"] for row in result["rows"])
    assert result["table"] in (folder / result["markdown"]).read_text()
    written = json.loads((folder / result["json"]).read_text())
    assert written == json.loads(json.dumps(result))
    assert {"date", "versions", "machine", "settings", "seeds"} <= written.keys()


@pytest.mark.parametrize("remove_seen", [True, False])
def test_the_evaluation_of_both_averages_is_that_of_a_plain_loop_over_users(settings, toy_path, remove_seen):
    result = run_seeds("SASRecAP", "toy", [1, 2], config_dict={**settings, "remove_seen": remove_seen})
    paths, average = [row["checkpoint"] for row in result["rows"]], result["average"]
    for kind in ("logits", "probabilities"):
        expected = metrics_by_loop(paths, toy_path, remove_seen, kind, held_out=2)
        assert average["valid_results"][kind] == pytest.approx(expected, abs=6e-5)  # of four decimals
    assert average["test_result"] == pytest.approx(
        metrics_by_loop(paths, toy_path, remove_seen, average["average"]), abs=6e-5
    )


@pytest.mark.parametrize("better", ["logits", "probabilities"])
def test_the_average_that_validates_better_is_tested_and_the_other_one_is_not(settings, monkeypatch, better):
    """Whatever the tests would say: evaluations after the validation are of the better one alone."""
    evaluated = []

    def evaluate(self, loader, **options):
        result = original(self, loader, **options)
        if not isinstance(self.model, AverageModel):
            return result
        kind = "probabilities" if isinstance(self.model, ProbabilityAverage) else "logits"
        evaluated.append(kind)
        return {**result, "ndcg@5": 0.9 if kind == better else 0.1}

    original = averaging.ResumableTrainer.evaluate
    monkeypatch.setattr(averaging.ResumableTrainer, "evaluate", evaluate)
    result = run_seeds("SASRecAP", "toy", [1, 2], config_dict=settings)
    assert evaluated[:3] == ["logits", "probabilities", better] and set(evaluated[3:]) <= {better}
    assert result["average"]["average"] == better and result["average"]["best_valid_score"] == 0.9
    assert f"The better one there, the average of {better}, is tested; the other one is not." in result["table"]
    other = {"logits": "probabilities", "probabilities": "logits"}[better]
    assert f"average of {other} 0.1000" in result["table"]
    assert recbole_sigma.load("saved", "cpu").state["average"] == better


def test_the_list_is_what_load_takes_from_the_folder(finished, monkeypatch):
    result, folder = finished
    monkeypatch.chdir(folder)
    rec = recbole_sigma.load("saved", "cpu")
    assert rec.path == result["average"]["checkpoint"] and rec.state["model"] == "average of 3 SASRecAP"
    assert rec.state["average"] == result["average"]["average"]
    assert rec.state["test_result"] == result["average"]["test_result"]
    assert [member.settings["seed"] for member in rec.members] == [3, 1, 2]
    assert all(member.settings["seeds"] is None for member in rec.members)
    assert not list(Path("saved").glob("*.seeds")) and not list(Path("saved").glob("*.lock"))


def test_the_command_prints_the_table_and_how_to_use_it(settings, tmp_path, capsys):
    assert main(["--model=SASRecAP", "--dataset=toy", *words(settings, epochs=1), "--seeds=7,8"]) == 0
    out = capsys.readouterr().out
    (path,) = Path("saved").glob("*.members.json")
    assert "standard deviation" in out and f"use it: recbole-sigma recommend --checkpoint {path} --history" in out
    (tmp_path / "own.yaml").write_text("model: SASRecAP\ndataset: toy\nseed: 5\nseeds: [7, 8]\n")
    assert main(["--config_files=own.yaml", *words(settings, epochs=1)]) == 0
    assert "| 7, 8 |" in capsys.readouterr().out
    assert main(["recommend", "--checkpoint", str(path), "--device=cpu", "--history", "i1 i2"]) == 0
    assert main(["recommend", "--checkpoint", *map(str, Path("saved").glob("*.pth")), "--history", "i1"]) == 0
    assert main(["recommend", "--checkpoint", str(path), "--average=probabilities", "--history", "i1"]) == 0
    capsys.readouterr()
    assert main(["recommend", "--checkpoint", str(path), "--average=mean", "--history", "i1"]) == 2
    assert "average is 'mean'; expected one of logits, probabilities" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["Pop", pytest.param("BPR", marks=pytest.mark.slow)])
def test_a_model_of_recbole_that_is_not_sequential_has_an_average_and_no_list(settings, model):
    given = {key: value for key, value in settings.items() if key not in ("hidden_size", "inner_size")}
    given = {key: value for key, value in given.items() if key != "MAX_ITEM_LIST_LENGTH"}
    result = run_seeds(model, "toy", [1, 2], config_dict=given)
    average = result["average"]
    assert average["checkpoint"] is None and average["test_result"].keys() == {"recall@5", "ndcg@5"}
    if model == "Pop":
        assert average["valid_results"]["logits"] == result["rows"][0]["best_valid_result"]


@pytest.mark.slow
def test_sampled_candidates_have_an_average_of_logits_alone(settings):
    given = {**settings, "eval_args": {"mode": "uni20"}}
    result = run_seeds("SASRecAP", "toy", [1, 2], config_dict=given)
    assert list(result["average"]["valid_results"]) == ["logits"] and result["average"]["test_result"]
    assert "Probabilities need the scores of all items, so the average of logits is tested." in result["table"]


@pytest.mark.slow
def test_models_that_score_pairs_have_an_average_of_logits_alone(settings):
    given = {key: value for key, value in settings.items() if key not in ("hidden_size", "inner_size")}
    result = run_seeds("DIN", "toy", [1, 2], config_dict={**given, "epochs": 1})
    assert list(result["average"]["valid_results"]) == ["logits"] and result["average"]["test_result"]


def test_without_validation_logits_are_tested(settings):
    given = {**settings, "eval_args": {"split": {"LS": "test_only"}}}
    result = run_seeds("SASRecAP", "toy", [1, 2], config_dict=given)
    assert result["average"]["average"] == "logits" and result["average"]["valid_results"] == {}
    assert "There was no validation to choose an average by: the average of logits is tested." in result["table"]
    assert result["mean"]["best_valid_result"] is None


# Failures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """Lets the runs of some seeds fail."""

    def of(*seeds):
        def step_loss(self, *args, **kwargs):
            if torch.initial_seed() in seeds:
                raise RuntimeError("out of luck | twice")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(SIGMA, "step_loss", step_loss)

    original = SIGMA.step_loss
    yield of


def test_a_seed_that_fails_is_reported_and_the_others_are_averaged(settings, failing, capsys):
    failing(2)
    given = {**settings, "epochs": 1}
    assert main(["--model=SIGMA", "--dataset=toy", *words(given), "--seeds=1,2,3"]) == 1
    out = capsys.readouterr().out
    assert "failed: RuntimeError: out of luck \\| twice" in out
    assert "Failed with seed 2: mean, standard deviation and average are without it." in out
    assert "over 2 seeds" in out and "1, 3 |" in out
    assert recbole_sigma.load("saved", "cpu").state["model"] == "average of 2 SIGMA"


def test_after_a_failure_resume_trains_that_seed_alone(settings, failing, monkeypatch):
    failing(2)
    given = {**settings, "epochs": 1}
    first = run_seeds("SIGMA", "toy", [1, 2, 3], config_dict=given)
    assert "error" in first["rows"][1]
    failing()
    second = run_seeds("SIGMA", "toy", [1, 2, 3], config_dict={**given, "resume": True})
    assert [second["rows"][place] for place in (0, 2)] == [first["rows"][place] for place in (0, 2)]
    assert second["markdown"] == first["markdown"] and "error" not in second["rows"][1]
    assert second["average"]["seed"] == "1, 2, 3"


def test_one_seed_that_is_left_has_a_mean_and_no_spread_or_average(settings, failing):
    failing(2, 3)
    result = run_seeds("SIGMA", "toy", [1, 2, 3], config_dict={**settings, "epochs": 1})
    assert result["mean"]["test_result"] == result["rows"][0]["test_result"]
    assert result["standard_deviation"] is None and result["average"] is None
    assert "Failed with seed 2 and 3: mean, standard deviation and average are without them." in result["table"]


def test_an_average_that_fails_leaves_the_seeds(settings, monkeypatch, capsys):
    monkeypatch.setattr("recbole_sigma.seeds.run.validate_and_test", lambda *args: 1 / 0)
    assert main(["--model=SASRecAP", "--dataset=toy", *words(settings, epochs=1), "--seeds=1,2"]) == 1
    out = capsys.readouterr().out
    assert "failed: ZeroDivisionError" in out and "standard deviation" in out and "use it" not in out
    assert list(Path("saved").glob("*.seeds"))


# Wrong inputs ------------------------------------------------------------------------------------------------------

WRONG = "[] [1] 1 1,1 1,-2 1,2.5 1,a 1,,2 true {1:2} 1,4294967296 [1,true] [[1,2]]".split() + [""]


@pytest.mark.parametrize("seeds", WRONG)
def test_wrong_seeds_are_errors_before_training(settings, seeds, capsys):
    assert main(["--model=SASRecAP", "--dataset=toy", *words(settings), f"--seeds={seeds}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: seeds is ") and "expected a list of at least two different seeds" in err
    assert not Path("saved").exists()


@pytest.mark.parametrize("seeds", [[], [1], 5, "1", (1, 1), range(2), [1, 2.0], [None, 1], np.arange(3)])
def test_wrong_seeds_in_python_are_errors(settings, seeds):
    with pytest.raises(ConfigError, match="expected a list of at least two different seeds"):
        run_seeds("SASRecAP", "toy", seeds, config_dict=settings)


def test_seeds_go_with_one_model_that_is_trained(settings, capsys):
    given = ["--dataset=toy", *words(settings), "--seeds=1,2"]
    assert main(["--model=SASRecAP,Pop", *given]) == 2
    assert "seeds is [1, 2] in a comparison of several models; expected one model with seeds" in capsys.readouterr().err
    assert main(["--model=SASRecAP", *given, "--checkpoint=a.pth"]) == 2
    assert "checkpoint is for a single model; expected seeds without checkpoint" in capsys.readouterr().err
    with pytest.raises(
        ConfigError, match="seeds is .* which trains several models; expected run_seeds, or seed for one"
    ):
        run_recbole_sigma("SASRecAP", "toy", config_dict={**settings, "seeds": [1, 2]})
    with pytest.raises(ConfigError, match="no seeds are given; expected at least two"):
        run_seeds("SASRecAP", "toy", config_dict=settings)
    assert not Path("saved").exists()


def test_splits_that_follow_the_seed_are_refused(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"data_path": str(toy_path), "eval_args": {"order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}}}
    with pytest.raises(ConfigError, match="order in eval_args is 'RO', which divides the interactions differently"):
        run_seeds("BPR", "toy", [1, 2], config_dict=given)


def test_members_that_were_tested_on_other_rows_are_not_averaged(finished, settings, monkeypatch):
    result, folder = finished
    rows = [{**row, "tested": {**row["tested"], "digest": "other"}} for row in result["rows"]]
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="the members were not tested on the same interactions"):
        averaging.validate_and_test(recbole_sigma.Config("SASRecAP", "toy", config_dict=settings), rows, "name")
