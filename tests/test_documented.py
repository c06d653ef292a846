"""Every command and every program in README.md and docs/ runs as it stands there, with one epoch of training."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.M | re.S)
RUN_BY_CI = "pip install -c constraints.txt"
BENCHMARK = re.compile(r"python -m (benchmarks\.[\w.]+)([^`#\n]*)")

pytestmark = pytest.mark.slow


def blocks(document):
    if document.name == "api.md":  # signatures
        return []
    return [block for block in BLOCK.findall(document.read_text(encoding="utf-8")) if RUN_BY_CI not in block[1]]


def quick(kind, text):
    """The same with one epoch."""
    if kind == "python":
        return re.sub(r'"epochs": \d+', '"epochs": 1', text)
    lines = text.replace("\\\n", " ").splitlines()
    lines = [re.sub(r" --epochs=\d+", "", line) for line in lines]
    return "\n".join(re.sub(r"^recbole-sigma --model", "recbole-sigma --epochs=1 --model", line) for line in lines)


@pytest.fixture
def folder(toy_path, trained, tmp_path):
    """What the documents take for granted: data sets of these names, a table of purchases, and a checkpoint."""
    (tmp_path / "saved").mkdir()
    shutil.copy(trained, tmp_path / "saved" / "SIGMA-toy.pth")
    os.utime(tmp_path / "saved" / "SIGMA-toy.pth", (0, 0))  # older than those that a document trains
    rows = [line.split("\t") for line in (toy_path / "toy" / "toy.inter").read_text().splitlines()]
    for name in ("amazon-office-products", "shop"):
        (tmp_path / "dataset" / name).mkdir(parents=True)
        text = "".join("\t".join(row) + "\n" for row in rows)
        (tmp_path / "dataset" / name / f"{name}.inter").write_text(text)
    purchases = ["customer,sku,bought_at,product\n"]
    for user, item, time in rows[1:]:
        purchases.append(f'{user},B{int(item[1:]):03d},2026-03-{int(time) + 1:02d} 09:30:00,"Thing, {item}"\n')
    (tmp_path / "purchases.csv").write_text("".join(purchases))
    return tmp_path


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path)], ids=lambda path: path.stem)
def test_every_block_runs(document, folder):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    for kind, text in blocks(document):
        if "recbole-sigma prepare" in text:
            for file in (folder / "dataset" / "shop").iterdir():
                file.unlink()
            (folder / "dataset" / "shop").rmdir()
        program = quick(kind, text)
        command = [sys.executable, "-c", program] if kind == "python" else ["bash", "-euo", "pipefail", "-c", program]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{document.name}:\n{program}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "benchmarks" / "README.md"], ids=lambda path: path.parent.name)
def test_benchmarks_exist_with_these_options(document):
    """They take hours; tests/benchmarks runs them on small data."""
    for module, words in set(BENCHMARK.findall(document.read_text(encoding="utf-8"))):
        done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for option in re.findall(r"--\w+", words):
            assert option in done.stdout, f"{module} has no {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_to_files(document):
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link
