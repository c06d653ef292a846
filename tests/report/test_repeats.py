"""The report of a model whose users take the same items again."""

import re

import numpy as np
import pytest

from recbole_sigma import load, run_recbole_sigma
from recbole_sigma.report import write_report
from recbole_sigma.report.held_out import histories, open_test_rows, rank_test_rows
from tests.cases.made_up import write_atomic
from tests.cases.test_seen import regulars, settings, split_in_advance


@pytest.mark.parametrize("remove_seen", [True, False])
def test_what_the_user_had_before_has_a_place_only_where_it_is_ranked(tmp_path, monkeypatch, remove_seen):
    monkeypatch.chdir(tmp_path)
    write_atomic(tmp_path, regulars())
    run = run_recbole_sigma("SASRecAP", "d", config_dict=settings(tmp_path, "SASRecAP", remove_seen=remove_seen))
    recommender = load(run["checkpoint"])
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    assert held_out.recall(10).mean() == pytest.approx(run["test_result"]["recall@10"])
    assert (held_out.recall(10).sum() == 0) == remove_seen
    text = write_report(run["checkpoint"]).path.read_text("utf-8")
    outcomes = re.findall(r'<p class="outcome">.*?</p>', text, re.S)
    assert outcomes and all(("which the user had before" in outcome) == remove_seen for outcome in outcomes)
    assert all(bool(re.search(r"on place \d+ of the 20 items", outcome)) != remove_seen for outcome in outcomes)


def test_histories_of_rows_that_were_split_in_advance_are_their_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walks, given = split_in_advance(tmp_path)
    run = run_recbole_sigma("SASRecAP", "d", config_dict=settings(tmp_path, "SASRecAP", **given))
    recommender = load(run["checkpoint"])
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    rows = np.array([3, 0, 7])
    found = histories(recommender, held_out, rows)
    assert found.lengths.tolist() == [6, 6, 6]
    for user, items in zip(found.users, found.items.split(6)):
        assert recommender.catalog.tokens[items.numpy()].tolist() == walks[user][:6]
    text = write_report(run["checkpoint"]).path.read_text("utf-8")
    assert "recommended to 20 users of the" in text and "because you had" in text
