"""Results that several processes append to, and runs that only one of them does."""

import json
import subprocess
import sys

from benchmarks.paper import records
from tests.benchmarks.running import ROOT


def start(program, *words):
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_records_come_back_in_their_order(tmp_path):
    path = tmp_path / "new" / "folder.jsonl"
    assert records.read(path) == []
    for number in range(3):
        records.append(path, {"number": number, "text": "a\nb"})
    assert records.read(path) == [{"number": number, "text": "a\nb"} for number in range(3)]
    assert path.read_text().count("\n") == 3


def test_a_line_that_a_crash_has_cut_is_left_out_and_the_next_one_is_whole(tmp_path, capsys):
    path = tmp_path / "results.jsonl"
    records.append(path, {"number": 0})
    records.append(path, {"number": 1, "text": "x" * 100})
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 50)
    assert records.read(path) == [{"number": 0}]
    assert f"{path}, line 2: damaged" in capsys.readouterr().err
    records.append(path, {"number": 2})
    assert records.read(path) == [{"number": 0}, {"number": 2}]


def test_only_the_last_line_break_is_missing(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"number": 0}))
    records.append(path, {"number": 1})
    assert records.read(path) == [{"number": 0}, {"number": 1}]


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "results.jsonl"
    program = (
        "import sys; from pathlib import Path; from benchmarks.paper.records import append\n"
        "for number in range(100):\n"
        "    append(Path(sys.argv[1]), {'writer': sys.argv[2], 'number': number, 'text': 'x' * 10_000})\n"
    )
    writers = [start(program, path, name) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    found = records.read(path)
    for name in "abcd":
        assert [record["number"] for record in found if record["writer"] == name] == list(range(100))


def test_a_run_is_one_process_s_until_it_lets_go_or_ends(tmp_path):
    program = (
        "import sys; from pathlib import Path; from benchmarks.paper.records import Claims\n"
        "claims = Claims(Path(sys.argv[1]))\n"
        "for line in sys.stdin:\n"
        "    word, name = line.split()\n"
        "    print(claims.take(name) if word == 'take' else claims.release(name), flush=True)\n"
    )
    first, second = start(program, tmp_path), start(program, tmp_path)

    def ask(process, question):
        process.stdin.write(f"{question}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        assert ask(first, "take ffffffffffff") == "True"
        assert ask(second, "take ffffffffffff") == "False"
        assert ask(second, "take 000000000001") == "True"
        ask(first, "release ffffffffffff")
        assert ask(second, "take ffffffffffff") == "True"
        second.kill()
        second.wait()
        assert ask(first, "take ffffffffffff") == "True"
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
