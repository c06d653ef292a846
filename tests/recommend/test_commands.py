"""``recbole-sigma recommend`` and ``explain`` as one types them."""

import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import recbole_sigma
from recbole_sigma.cli import main
from tests.terminal import in_terminal


@pytest.fixture
def words(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [f"--checkpoint={trained}", "--device=cpu"]


@pytest.fixture(scope="module")
def rec(trained):
    return recbole_sigma.load(trained, device="cpu")


@pytest.fixture
def rows(tmp_path):
    """Interactions in no order; users a and b, a new item, and c with nothing else."""
    frame = pd.DataFrame(
        [("a", "i2", 2), ("b", "i5", 1), ("a", "i1", 1), ("b", "new", 2), ("c", "new", 1), ("a", "i3", 3)],
        columns=["user_id", "item_id", "timestamp"],
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return frame


def test_one_history_prints_a_ranked_list_with_titles(words, rec, capsys):
    assert main(["recommend", *words, "--history", "i1 i2 nothing", "-k", "4"]) == 0
    out, err = capsys.readouterr()
    (expected,) = rec.recommend([["i1", "i2"]], k=4)
    found = [line.split(maxsplit=3) for line in out.splitlines()]
    assert [row[:2] for row in found] == [[str(rank), item] for rank, item in enumerate(expected.items, 1)]
    assert [float(row[2]) for row in found] == pytest.approx(expected.scores, abs=1e-4)
    assert [row[3] for row in found] == [f"The {item[1:]}th" for item in expected.items]
    assert err == "skipped, not known to the model: nothing\n"


def test_a_history_without_known_items_gets_the_popular_ones_and_says_so(words, rec, capsys):
    assert main(["recommend", *words, "--history", "", "-k", "3"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines()] == rec.recommend([[]], k=3)[0].items
    assert "the most popular items" in err


@pytest.mark.parametrize("output", ["recs.csv", "recs.parquet", None])
def test_a_file_becomes_a_table(words, rows, rec, output, capsys):
    assert main(["recommend", *words, "--input=rows.csv", "-k=5", *([f"--output={output}"] if output else [])]) == 0
    out, err = capsys.readouterr()
    if output is None:
        with open("standard_output.csv", "w") as file:
            file.write(out)
    table = pd.read_parquet(output) if output == "recs.parquet" else pd.read_csv(output or "standard_output.csv")
    assert list(table) == ["user_id", "rank", "item_id", "score", "by_popularity", "title"]
    histories = [["i1", "i2", "i3"], ["i5", "new"], ["new"]]
    for user, one in zip("abc", rec.recommend(histories, k=5)):
        own = table[table["user_id"] == user]
        assert own["rank"].tolist() == [1, 2, 3, 4, 5]
        assert own["item_id"].tolist() == one.items
        np.testing.assert_array_equal(own["score"].astype(np.float32), np.float32(one.scores))  # digits enough
        assert own["by_popularity"].tolist() == [one.by_popularity] * 5
        assert own["title"].tolist() == [f"The {item[1:]}th" for item in one.items]
    assert "3 users of rows.csv, 5 items each" in err
    assert "2 interactions with items that the model does not know were skipped" in err
    assert "1 user has no item that it knows: it gets the most popular items" in err


def test_seen_items_stay_if_asked_for(words, rows):
    assert main(["recommend", *words, "--input=rows.csv", "-k=40", "--output=o.csv", "--keep_seen"]) == 0
    assert main(["recommend", *words, "--input=rows.csv", "-k=40", "--output=n.csv"]) == 0
    kept, left_out = (pd.read_csv(name)["user_id"].value_counts() for name in ("o.csv", "n.csv"))
    assert kept["a"] == 40 and left_out["a"] == 37


def test_columns_may_have_other_names(words, rows, tmp_path):
    rows.rename(columns={"user_id": "who", "item_id": "what", "timestamp": "when"}).to_parquet("named.parquet")
    named = ["--input=named.parquet", "--user=who", "--item=what", "--time=when", "--output=named.csv"]
    assert main(["recommend", *words, *named]) == 0
    assert main(["recommend", *words, "--input=rows.csv", "--output=rows_out.csv"]) == 0
    assert (tmp_path / "named.csv").read_text().splitlines()[0].startswith("who,rank,what,score")
    assert (tmp_path / "named.csv").read_text().splitlines()[1:] == (
        (tmp_path / "rows_out.csv").read_text().splitlines()[1:]
    )


def test_an_error_in_the_input_leaves_an_older_output_alone(words, capsys):
    with open("bad.csv", "w") as file:
        file.write("user_id,item_id,timestamp\na,i1,1\na,i2,yesterday\n")
    with open("recs.csv", "w") as file:
        file.write("older\n")
    assert main(["recommend", *words, "--input=bad.csv", "--output=recs.csv"]) == 2
    assert "row 2 after the header: timestamp is 'yesterday'" in capsys.readouterr().err
    assert open("recs.csv").read() == "older\n"
    assert sorted(os.listdir()) == ["bad.csv", "recs.csv"]


@pytest.mark.parametrize(
    "given, message",
    [
        ([], "expected one of --history and --input"),
        (["--history=i1", "--input=rows.csv"], "expected one of --history and --input"),
        (["--history=i1", "--output=x.csv"], "go with --input"),
        (["--history=i1", "-k=0"], "k is 0; expected a number of items from 1 to 40"),
        (["--input=none.csv"], "none.csv does not exist"),
        (["--input=rows.csv", "--output=recs.txt"], "output is 'recs.txt'; expected a name that ends in .csv"),
        (["--input=rows.csv", "--user=usr_id"], "no column 'usr_id'; it has user_id, item_id, timestamp; did you mean"),
        (["--history=i1", "--device=gpu7"], "device is 'gpu7'"),
        (["--input=rows.csv", "--output=rows.csv"], "output is the input, rows.csv; expected another file"),
        (["--input=rows.csv", "--output=."], "expected a name that ends in .csv or .parquet"),
    ],
)
def test_wrong_input_is_refused(words, rows, given, message, capsys):
    assert main(["recommend", *words, *given]) == 2
    assert message in capsys.readouterr().err
    assert os.listdir() == ["rows.csv"]


def test_a_missing_or_foreign_checkpoint_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recommend", "--checkpoint=none.pth", "--history=i1"]) == 2
    assert "checkpoint none.pth does not exist" in capsys.readouterr().err
    (tmp_path / "foreign.pth").write_bytes(b"not a checkpoint")
    assert main(["explain", "--checkpoint=foreign.pth", "--history=i1"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_columns_that_are_named_like_those_of_the_output_are_refused(words, rows, capsys):
    rows.rename(columns={"user_id": "rank", "item_id": "title"}).to_csv("named.csv", index=False)
    assert main(["recommend", *words, "--input=named.csv", "--user=rank", "--item=title", "--output=o.csv"]) == 2
    assert "column 'rank' of the input has the name of one of the output" in capsys.readouterr().err


def test_a_history_may_be_several_words(words, capsys):
    outputs = []
    for history in (["i1 i2 i30"], ["i1", "i2", "i30"], ["i1 i2", "i30"]):
        assert main(["recommend", *words, "--history", *history, "-k", "4"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(words, rows):
    command = [sys.executable, "-m", "recbole_sigma", "recommend", *words, "--input=many.csv", "-k=40"]
    pd.DataFrame({"user_id": range(3000), "item_id": "i1", "timestamp": 1}).to_csv("many.csv", index=False)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 0


def test_words_that_are_not_understood_end_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["recommend", *words, "--histroy=i1"])
    assert stop.value.code == 2


def test_a_terminal_has_a_progress_bar(words, rows):
    code, shown = in_terminal(["recommend", *words, "--input=rows.csv", "--output=recs.csv"])
    assert code == 0
    assert re.search(r"100%\|.*6\.00/6\.00", shown)


def test_an_explanation_shows_interests_and_recommendations(words, rec, capsys):
    assert main(["explain", *words, "--history=i1 i2 i30", "-k=3", "--nearest=2"]) == 0
    out = capsys.readouterr().out
    explanation = rec.explain(["i1", "i2", "i30"], k=3, nearest=2)
    for interest in explanation.interests:
        assert re.search(rf"interest {interest.category} +{interest.intensity:.1%}", out)
        for item in interest.items + interest.nearest:
            assert f"{item}  The {item[1:]}th" in out
    for item in explanation.recommendation.items:
        assert re.search(rf"{item} +-?\d+\.\d{{4}}  The {item[1:]}th", out)
    assert len(re.findall("^     (?:because you had The|no single item decides)", out, re.M)) == 3
    assert out.index("1  ") < out.index("interests, which have no part in the scores:") < out.index("interest 0 ")


def test_an_explanation_of_a_model_without_interests_has_reasons_only(train_toy, capsys):
    assert main(["explain", f"--checkpoint={train_toy('SASRecAP')}", "--device=cpu", "--history=i1", "-k=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1::2] == ["     because you had The 1th"] * 2 and len(lines) == 4


def test_an_explanation_of_nothing_known_is_refused(words, capsys):
    assert main(["explain", *words, "--history=new"]) == 2
    assert "no item that the model knows; expected at least one" in capsys.readouterr().err


def test_without_a_history_the_categories_are_shown(words, rec, capsys):
    assert main(["explain", *words, "--nearest=2"]) == 0
    out = capsys.readouterr().out
    for category in rec.categories(2):
        assert re.search(
            f"category {category.number}: {category.size} items?, {category.interactions} interactions?;", out
        )
        assert f"{category.similarity[0]:6.3f}  {category.typical[0]}  The" in out
