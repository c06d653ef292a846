"""setup.cfg names every package and every file of data; an editable install works without them, a wheel does not."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")

# Folders of the top level that are installed inside the package.
MOVED = dict(line.split(" = ") for line in SETUP["options"]["package_dir"].split("\n") if line)


def test_every_package_is_named():
    named = SETUP["options"]["packages"].split()
    folders = {file.parent.relative_to(ROOT) for file in (ROOT / "recbole_sigma").rglob("__init__.py")}
    assert sorted(named) == sorted({".".join(folder.parts) for folder in folders} | set(MOVED))


def test_every_file_of_data_is_named():
    folders = {package: ROOT / MOVED.get(package, package.replace(".", "/")) for package in SETUP["options.package_data"]}
    named = {
        file
        for package, patterns in SETUP["options.package_data"].items()
        for pattern in patterns.split(",")
        for file in folders[package].glob(pattern.strip())
    }
    roots = [ROOT / "recbole_sigma", *(ROOT / folder for folder in MOVED.values())]
    found = {file for root in roots for file in root.rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc"}}
    assert named == found
