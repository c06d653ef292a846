"""The report of a model whose users take the same items again."""

import re

import pytest

from recbole_sigma import load, run_recbole_sigma
from recbole_sigma.report import write_report
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from tests.cases.made_up import write_atomic
from tests.cases.test_seen import regulars, settings


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
