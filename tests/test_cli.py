"""The command line on real files: what it prints, what it leaves behind, and how it refuses bad input."""

import re
import signal
import subprocess
import sys

import pytest
import torch

from recbole_sigma.training import checkpoint
from recbole_sigma.cli import main
from tests.terminal import in_terminal

RANKED = ["--topk=[5, 10]", "--valid_metric=Recall@10"]
FAST = ["--epochs=1", "--hidden_size=8", "--inner_size=8", "--MAX_ITEM_LIST_LENGTH=10", *RANKED]


@pytest.fixture
def toy(toy_path, tmp_path, monkeypatch):
    """Words of a quick run on the toy data, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return ["--dataset=toy", f"--data_path={toy_path}", *FAST]


def test_a_run_ends_with_a_table_and_the_files_it_wrote(toy, capsys):
    assert main(["--model=SIGMA", *toy]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\| SIGMA \|( +[01]\.\d{4} ± 0\.\d{4} \|){4} +\d+\.\d\d \| +1 \| +[\d,]+ \| 2020 \|", out)
    assert "items the user had interacted with before are left out (remove_seen: true)" in out
    path = re.search(r"checkpoint: (\S+)", out)[1]
    assert checkpoint.load(path)["model"] == "SIGMA"
    assert "epoch 0 training" in open(re.search(r"log: (\S+)", out)[1]).read()


def test_keys_may_be_given_with_a_space_and_the_rule_for_seen_items_is_printed(toy, capsys):
    assert (
        main(["--model", "BPR", *toy[:3], "--remove_seen", "false", "--topk", "[5]", "--valid_metric", "NDCG@5"]) == 0
    )
    out = capsys.readouterr().out
    assert "are ranked as well (remove_seen: false)" in out
    assert "NDCG@5" in out


def test_a_saved_model_is_tested_again_with_the_same_result(toy, capsys):
    assert main(["--model=SIGMA", *toy]) == 0
    first = capsys.readouterr().out
    assert main(["--model=SIGMA", *toy, "--checkpoint=" + re.search(r"checkpoint: (\S+)", first)[1]]) == 0
    metrics = [re.findall(r"[01]\.\d{4} ", text) for text in (first, capsys.readouterr().out)]
    assert metrics[0] == metrics[1]


BAD = {
    "unknown model": (["--model=SIGMMA"], "SIGMA"),
    "unknown data set": (["--dataset=ml-100"], "ml-100k"),
    "where files were looked for": (["--dataset=amazon-beuty"], "amazon-beuty.inter"),
    "unknown key": (["--hiden_size=8"], "hidden_size"),
    "key of another model": (["--model=SASRec", "--num_categories=4"], "is a key of SIGMA"),
    "word that is no option": (["--seed", "1", "epochs=3"], "--key=value"),
    "no category": (["--num_categories=0"], "num_categories is 0; expected an integer of at least 1"),
    "heads": (["--n_heads=3"], "hidden_size is 8; expected a multiple of n_heads"),
    "dropout of 1": (["--hidden_dropout_prob=1"], r"expected a number in [0, 1)"),
    "negative weight": (["--kl_weight=-1"], "kl_weight is -1; expected"),
    "text for a number": (["--learning_rate=fast"], "learning_rate is 'fast'; expected"),
    "unknown choice": (["--prior=flat"], "expected one of mixture, standard"),
    "switches against each other": (["--prior=standard", "--scorer=interests"], "expected scorer: sequence"),
    "filter": (["--user_inter_num_interval=[900,inf)"], "user_inter_num_interval = [900,inf)"),
    "missing configuration": (["--config_files=none.yaml"], "none.yaml"),
    "missing checkpoint": (["--checkpoint=none.pth"], "none.pth does not exist"),
    "metric": (["--metrics=[Recal]"], "Recall"),
    "checkpoint without a name": (["--checkpoint="], "expected the path of a checkpoint"),
    "transform": (["--transform=mask_itemseq"], "sequences are trained on as they are"),
    "labelled rows": (["--eval_args={mode: labeled}"], "this model ranks items"),
    "huge seed": (["--seed=99999999999"], "below 2**32"),
    "negative size": (["--hidden_size=-4"], "expected"),
    "clipping": (["--clip_grad_norm={foo: 1}"], "max_norm"),
    "pickled data": (["--save_dataset=true"], "save_dataset (on the command line) is not supported"),
    "split": (["--eval_args={split: {LS: all}}"], "valid_and_test"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_what_to_do(toy, case, capsys, tmp_path):
    words, message = BAD[case]
    assert main(["--model=SIGMA", *toy, *words]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1] and "error: " in error
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "saved").exists() or not list((tmp_path / "saved").iterdir())


@pytest.mark.parametrize("damage", ["truncated", "other model", "other settings", "same shapes", "other catalog"])
def test_a_checkpoint_that_does_not_fit_is_refused(toy, toy_path, damage, capsys, tmp_path):
    assert main(["--model=SIGMA", *toy]) == 0
    path = re.search(r"checkpoint: (\S+)", capsys.readouterr().out)[1]
    words = ["--model=SIGMA", *toy, f"--checkpoint={path}"]
    if damage == "truncated":
        content = open(path, "rb").read()
        open(path, "wb").write(content[: len(content) // 2])
    elif damage == "other model":
        words[0] = "--model=SASRec"
    elif damage == "other settings":
        words.append("--num_categories=3")
    elif damage == "same shapes":
        words.append("--normalize_items=true")
    else:
        words.append("--user_inter_num_interval=[10,inf)")
    before = open(path, "rb").read()
    assert main(words) == 2
    expected = {
        "truncated": "truncated",
        "other model": "of the model SIGMA; expected SASRec",
        "other settings": "num_categories = 4 (here 3)",
        "same shapes": "normalize_items = False (here True)",
        "other catalog": "another catalog",
    }
    assert expected[damage] in capsys.readouterr().err
    assert open(path, "rb").read() == before


def test_a_sequence_model_without_timestamps_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "plain.inter").write_text("user_id:token\titem_id:token\nu\ti\nu\tj\nu\tk\n")
    assert main(["--model=SIGMA", "--dataset=plain", f"--data_path={tmp_path}"]) == 2
    assert "timestamp" in capsys.readouterr().err


def test_debug_shows_where(toy):
    with pytest.raises(ValueError, match="SIGMMA"):
        main(["--model=SIGMMA", "--debug", *toy])


@pytest.mark.parametrize("words, missing", [(["--model=SIGMA"], "--dataset"), (["--dataset=ml-100k"], "--model")])
def test_no_model_or_data_set_is_refused(words, missing, capsys):
    assert main(words) == 2
    assert missing in capsys.readouterr().err


def test_model_and_data_set_may_stand_in_a_file(toy, tmp_path, capsys):
    (tmp_path / "my.yaml").write_text("model: Pop\ndataset: toy\n")
    assert main(["--config_files=my.yaml", toy[1]]) == 0
    assert "| Pop " in capsys.readouterr().out


def test_a_comparison_without_its_data_is_refused_as_a_whole(toy, tmp_path, capsys):
    assert main(["--model=SIGMA,BPR", "--dataset=nope", toy[1]]) == 2
    assert "nope.inter" in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()


def command(*words):
    return [sys.executable, "-m", "recbole_sigma", "--model=SIGMA", *words]


def test_output_that_is_no_terminal_has_neither_bars_nor_colours(toy):
    done = subprocess.run(command(*toy), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "it/s" not in done.stderr and "\x1b" not in done.stderr + done.stdout
    assert "epoch 0 training" in done.stderr


def test_a_terminal_has_progress_bars(toy):
    code, shown = in_terminal(["--model=SIGMA", *toy])
    assert code == 0
    assert "Train" in shown and "it/s" in shown and "Evaluate" in shown


def test_an_interrupted_run_says_so_and_keeps_what_it_saved(toy, tmp_path):
    words = [word for word in toy if not word.startswith("--epochs")] + ["--epochs=3000", "--stopping_step=3000"]
    process = subprocess.Popen(
        command(*words),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    try:
        for line in process.stderr:
            if "Saved the best model" in line:
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert rest.splitlines()[-1].startswith("interrupted") and "Traceback" not in rest
    (path,) = (tmp_path / "saved").glob("*.pth")
    assert checkpoint.load(path)["model"] == "SIGMA"


def test_the_safe_loader_reads_what_the_command_line_saved(toy, capsys):
    assert main(["--model=BPR", *toy[:3]]) == 0
    path = re.search(r"checkpoint: (\S+)", capsys.readouterr().out)[1]
    assert torch.load(path, weights_only=True)["model"] == "BPR"
