"""From a table to a trained model by the two commands that a user types."""

import shlex

import numpy as np
import pytest

from recbole_sigma.training import checkpoint
from recbole_sigma.cli import main

FAST = ["--epochs=1", "--hidden_size=8", "--inner_size=8", "--topk=[5]", "--valid_metric=Recall@5"]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Rows of ``shop.csv``, in an empty folder: users, items, times and titles in random order."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = [
        (f"user {user}", f"item, {item}", f"2026-01-{day:02} 12:00:00")
        for user in range(30)
        for day, item in enumerate(generator.permutation(20)[: generator.integers(5, 15)], 1)
    ]
    rows = [rows[number] for number in generator.permutation(len(rows))]
    lines = [f'{user},"{item}",{time},"The ""{item}"""' for user, item, time in rows]
    (tmp_path / "shop.csv").write_text("\n".join(["customer,product,date,name", *lines]) + "\n")
    return rows


WORDS = ["prepare", "shop.csv", "--user=customer", "--item", "product", "--time=date"]


def test_a_table_becomes_a_model_by_the_command_that_is_printed(shop, capsys):
    assert main([*WORDS, "--title=name"]) == 0
    summary = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert list(summary) == ["shop", "times", "files", "next"]
    users, items = ({row[column] for row in shop} for column in (0, 1))
    assert summary["shop"] == f"{len(users)} users, {len(items)} items, {len(shop)} interactions"
    first, last = (f"{time}" for time in (min(row[2] for row in shop), max(row[2] for row in shop)))
    assert summary["times"] == f"1767268800 to 1768392000 ({first} to {last} UTC, if these are seconds since 1970)"
    assert summary["files"] == "dataset/shop/shop.inter, dataset/shop/shop.item"

    program, *words = shlex.split(summary["next"])
    assert program == "recbole-sigma"
    assert main([*words, *FAST]) == 0
    path = capsys.readouterr().out.split("checkpoint: ")[1].split()[0]
    catalog = checkpoint.load(path)["metadata"]
    assert set(catalog["tokens"]["user_id"]) == {"[PAD]", *users}
    assert set(catalog["tokens"]["item_id"]) == {"[PAD]", *items}
    assert all(
        title == f'The "{token}"' for token, title in zip(catalog["tokens"]["item_id"][1:], catalog["titles"][1:])
    )
    assert catalog["popularity"].sum() == len(shop) - 2 * len(users)  # the last two of each user are held out


def test_names_with_spaces_are_quoted_in_the_command(shop, capsys):
    assert main([*WORDS, "--name=my shop", "--output=my data"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))
    assert words == ["recbole-sigma", "--model=SIGMA", "--dataset=my shop", "--data_path=my data"]
    assert main([*words[1:], *FAST]) == 0


@pytest.mark.parametrize(
    "words, message",
    [
        (["--time=day"], "has no column 'day'; it has customer, product, date, name"),
        (["--rating=name"], "row 1 after the header: name is 'The "),
        (["--time=product"], "'product' is given twice"),
        (["--name=../x"], "expected the name of a folder"),
        (["--output=shop.csv"], "shop.csv"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(shop, words, message, capsys, tmp_path):
    assert main([*WORDS, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["shop.csv"]


def test_a_data_set_is_replaced_only_if_asked(shop, capsys):
    assert main(WORDS) == 0
    assert main(WORDS) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert main([*WORDS, "--overwrite"]) == 0


def test_the_help_of_the_command_says_what_it_reads(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["prepare", "--help"])
    assert caught.value.code == 0
    assert "recbole-sigma prepare shop.csv --user customer" in capsys.readouterr().out
