"""The report of an average: its accuracy by a plain loop, and what only a single training has is left out."""

import re

import numpy as np
import pytest

import recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from recbole_sigma.training import checkpoint


@pytest.fixture(scope="module")
def paths(sigma, sasrec):
    return [sigma["checkpoint"], sasrec["checkpoint"]]


def test_the_report_of_an_average_says_what_it_leaves_out(paths, titled_path, tmp_path, capsys):
    output = tmp_path / "average.html"
    words = ["--output", str(output), f"--data_path={titled_path}"]
    assert main(["report", "--checkpoint", *paths, *words]) == 0
    assert "left out" not in capsys.readouterr().out
    text = output.read_text(encoding="utf-8")
    assert "<h1>average of SIGMA and SASRecAP on titled</h1>" in text
    for path in paths:
        assert path.rpartition("/")[2] in re.search(r"An average of .*? shows its training: [^<]*", text)[0]
    assert "item-map" in text and "recall-by-length" in text
    assert re.search(r"<t[dh][^>]*>num_categories</t[dh]>\s*<td[^>]*>3 \| </td>", text)


def test_the_targets_ranks_are_those_of_a_plain_loop(paths, titled_path):
    rec = recbole_sigma.load(paths, "cpu")
    held_out = rank_test_rows(rec, open_test_rows(rec, titled_path))
    rows = [line.split("\t") for line in (titled_path / "titled" / "titled.inter").read_text().splitlines()[1:]]
    histories = {}
    for user, item, _ in rows:
        histories.setdefault(user, []).append(item)
    singles = [recbole_sigma.load(path, "cpu") for path in paths]
    users = rec._dataset.field2id_token["user_id"][held_out.user]
    for user, rank in zip(users, held_out.rank):
        *history, target = histories[user]
        scores = {}
        for one in singles:
            (found,) = one.recommend([history], k=40, keep_seen=True)
            for item, score in zip(found.items, found.scores):
                scores.setdefault(item, []).append(score)
        better = sum(np.mean(own) > np.mean(scores[target]) for item, own in scores.items() if item not in history)
        assert rank == (better + 1 if better < 10 else 0)


def test_members_that_were_tested_on_other_rows_have_no_part_about_users(paths, titled_path, tmp_path, capsys):
    state = checkpoint.load(paths[1])
    state["config"]["eval_args"] = {**state["config"]["eval_args"], "split": {"RS": [0.8, 0.1, 0.1]}}
    checkpoint.save(state, tmp_path / "other.pth")
    words = ["--output", str(tmp_path / "average.html"), f"--data_path={titled_path}"]
    assert main(["report", "--checkpoint", paths[0], str(tmp_path / "other.pth"), *words]) == 0
    said = "the parts about users are left out: the members of the average were trained with different eval_args"
    assert said in capsys.readouterr().out
