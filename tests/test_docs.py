"""The pages that are generated are those of the source as it is, and say what they have to."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

from docs import api_page, generate, settings_page
from recbole_sigma.config.keys import core_keys
from recbole_sigma.config.reading import Loader

ROOT = Path(__file__).parents[1]
FUNCTIONS = [name for names in api_page.PUBLIC.values() for name in names if inspect.isfunction(api_page.find(name))]
FILES = [path for pattern in settings_page.FILES for path in ROOT.glob(pattern)]


@pytest.mark.parametrize("name", ["settings.md", "api.md"])
def test_pages_are_up_to_date(name):
    path = ROOT / "docs" / name
    assert path.read_text(encoding="utf-8") == generate.pages()[path], "run python docs/generate.py"


def test_every_file_of_settings_has_its_place():
    everywhere = {*ROOT.glob("properties/**/*.yaml"), *ROOT.glob("dataset_configs/*.yaml")}
    assert set(FILES) == everywhere


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_settings_are_shown_with_the_defaults_that_the_file_sets(path):
    _, sections = settings_page.read_sections(path)
    shown = {setting.key: setting for settings in sections.values() for setting in settings}
    values = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    assert {key for key in shown if "." not in key} == set(values)
    for key, setting in shown.items():
        assert setting.type and setting.meaning.endswith((".", "..."))
        value = values
        for part in key.split("."):
            value = value[part]
        if setting.default:
            assert yaml.load(setting.default, Loader=Loader) == value
        else:
            assert {f"{key}.{part}" for part in value} < set(shown)


def test_a_setting_without_a_meaning_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("# Head.\n\n# Section\na: 1  # (int) One.\nb: 2\n")
    with pytest.raises(ValueError, match="'b: 2' is no setting"):
        settings_page.read_sections(tmp_path / "a.yaml")


def test_the_keys_of_recbole_exist():
    keys = [key for keys in settings_page.RECBOLE_KEYS.values() for key in keys]
    assert len(keys) == len(set(keys)) and set(keys) <= core_keys()


def test_every_public_name_has_a_docstring_of_its_own():
    for names in api_page.PUBLIC.values():
        for name in names:
            thing = api_page.find(name)
            assert thing.__doc__, name
            assert not re.match(rf"{thing.__name__}\(", thing.__doc__), f"{name} has the one that NamedTuple makes"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_say_what_they_take_and_return(name):
    function = api_page.find(name)
    signature, docstring = inspect.signature(function), inspect.getdoc(function)
    named = re.findall(r"^ {4}(\w+(?:, \w+)*): ", docstring.partition("Args:\n")[2].partition("\n\n")[0], re.M)
    assert sorted(", ".join(named).split(", ")) == sorted(signature.parameters)
    if signature.return_annotation != "None":
        assert "Returns:" in docstring or "Yields:" in docstring


def test_docstrings_become_markdown():
    docstring = """Product of ``a`` and ``b``.

    Longer
    text.

    Args:
        a, b: ``[N]``,
            of one size.
        c: more.

    Returns:
        ``[N]``.

    Raises:
        ValueError: they
            differ.
    """
    assert api_page.markdown(docstring) == (
        "Product of `a` and `b`.\n\nLonger\ntext.\n\n"
        "**Arguments**\n\n- `a`, `b`: `[N]`,\n  of one size.\n- `c`: more.\n\n"
        "**Returns**\n\n`[N]`.\n\n**Raises**\n\n- `ValueError`: they\n  differ."
    )
