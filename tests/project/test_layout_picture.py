"""The picture of the layout is the same in each page, and equal to the import contract."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("CONTRIBUTING.md", "docs/decisions/0012-names-and-layout.md")


def picture(page: str) -> str:
    found = re.search(r"```\n(collector/\n.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{page} has no picture of the layout"
    return found[1]


def packages(text: str) -> list[list[str]]:
    """The names of each line within `collector/`, from the top."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    return [
        [re.sub(r"(/|\.py)$", "", name) for name in re.findall(r"[a-z]+(?:/|\.py)", line[:37])]
        for line in lines
    ]


def layers() -> list[list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [re.findall(r"[a-z]+", layer) for layer in contract["layers"]]


@pytest.mark.parametrize("page", PAGES)
def test_the_picture_has_the_layers_of_the_contract(page: str) -> None:
    assert packages(picture(page)) == layers()


def test_all_pages_show_one_picture() -> None:
    assert len({picture(page) for page in PAGES}) == 1
