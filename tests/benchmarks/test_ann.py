"""The benchmark of approximate search, on a small catalog."""

import re

import pytest
import torch

from benchmarks.speed import ann, ann_row
from tests.benchmarks.running import run


@pytest.mark.slow
def test_a_quick_run_replaces_its_section_and_more_lists_find_more(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("# Speed\n\n<!-- ann -->\n\nold\n\n<!-- /ann -->\n")
    done = run("ann", "--quick", "--threads=1", "--output", str(path))
    assert done.returncode == 0, done.stderr
    section = re.fullmatch("# Speed\n\n<!-- ann -->\n\n(.*)\n\n<!-- /ann -->\n", path.read_text(), re.S)[1]
    assert done.stdout.strip() in section and str(tmp_path) not in section
    rows = re.findall(r"^\| ([^|]+) \| ([01]\.\d{4}) \| ([\d.]+) \| ([\d.]+) \|", section, re.MULTILINE)
    recall = {row[0]: float(row[1]) for row in rows}
    assert len(recall) == 1 + sum(len(levels) for _, levels in ann.ROWS.values())
    assert recall["exact, as `rec.recommend`"] == 1
    for label in ("`rec.index`, {} lists", "lists by product, {} lists"):
        found = [recall[label.format(probes)] for probes in ann.PROBES]
        assert found == sorted(found) and found[-1] > 0.95


def test_exact_search_finds_the_largest_products():
    items, queries = ann_row.made_up(300, 8, 5)
    assert torch.equal(ann_row._exact(items)(queries, 7), (queries @ items.T).topk(7).indices)
