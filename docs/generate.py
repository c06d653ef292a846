"""Write docs/settings.md and docs/api.md from the YAML files and the docstrings: ``python docs/generate.py``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script finds its own folder alone

from docs.api_page import api_page  # noqa: E402
from docs.settings_page import settings_page  # noqa: E402


def pages() -> dict[Path, str]:
    return {ROOT / "docs" / "settings.md": settings_page(ROOT), ROOT / "docs" / "api.md": api_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
