"""Where models differ: definitions in plain Python, and a run on the toy data."""

import math
import re

import numpy as np
import pytest
import torch

from benchmarks.paper import where
from recbole_sigma.recommend.members import write_members


def test_miscalibration_is_the_kl_of_the_lists_categories_from_those_of_the_history():
    categories_of = {1: ["a"], 2: ["a", "b"], 3: ["c"], 4: []}
    names = ["a", "b", "c"]
    shares = np.array(
        [[0, 0, 0], *[[(name in own) / max(1, len(own)) for name in names] for own in categories_of.values()]]
    )
    categories = where.Categories(torch.zeros(5, 1, dtype=torch.int64), shares)
    of_history = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    lists = np.array([[1, 2, 0], [3, 4, 3]])
    expected = []
    for history, items in zip(of_history, lists):
        mass = dict.fromkeys(names, 0.0)
        for item in items:
            for name in categories_of.get(item, []):
                mass[name] += 1 / len(categories_of[item])
        total = sum(mass.values())
        kl = 0.0
        for name, p in zip(names, history):
            if p > 0:
                kl += p * math.log(p / (0.99 * mass[name] / total + 0.01 * p))
        expected.append(kl)
    assert where.miscalibration(of_history, lists, categories) == pytest.approx(sum(expected) / 2)


def test_rows_are_the_results_of_the_checkpoints_and_of_their_average(train_toy, titled_toy_path, capsys, monkeypatch):
    monkeypatch.chdir(titled_toy_path)
    first, second = (train_toy("SASRecAP", seed=seed, topk=20, valid_metric="Recall@20") for seed in (1, 2))
    words = ["--data_path", str(titled_toy_path), "--models", f"Two={first},{second}", f"One={second}"]
    assert where.main(words) == 0
    printed = capsys.readouterr().out
    results = [torch.load(path, weights_only=True)["test_result"] for path in (first, second)]
    overall = printed.split("\n\n")[1]
    cells = {row.split("|")[1].strip(): row.split("|")[2:] for row in overall.splitlines()}
    mean = sum(one["recall@20"] for one in results) / 2
    assert float(cells["Two"][0].split()[0]) == pytest.approx(mean, abs=1e-4)
    assert "Two, average of 2" in cells and float(cells["One"][0]) == pytest.approx(results[1]["recall@20"], abs=1e-4)
    counts = [int(number) for number in re.findall(r"\(n = (\d+)\)", printed)]
    assert sum(counts) == 60


@pytest.mark.parametrize("text", ["SIGMA", "=a.pth", "SIGMA=", "SIGMA=a.pth,"])
def test_models_without_a_name_or_a_file_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        where.main(["--models", text])
    assert "expected NAME=FILE,FILE" in capsys.readouterr().err


def test_a_list_of_members_stands_for_a_checkpoint(train_toy, titled_toy_path, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(titled_toy_path)
    members = [train_toy("SASRecAP", seed=seed, topk=20, valid_metric="Recall@20") for seed in (1, 2)]
    lists = [tmp_path / f"{name}.members.json" for name in ("one", "other")]
    for path in lists:
        write_members(path, members, "logits")
    models = [f"Pairs={lists[0]},{lists[1]}", f"Two={members[0]},{members[1]}"]
    assert where.main(["--data_path", str(titled_toy_path), "--models", *models]) == 0
    overall = capsys.readouterr().out.split("\n\n")[1]
    cells = {row.split("|")[1].strip(): row.split("|")[2].split()[0] for row in overall.splitlines()[2:]}
    assert set(cells) == {"Pairs", "Two", "Two, average of 2"}
    assert cells["Pairs"] == cells["Two, average of 2"]
