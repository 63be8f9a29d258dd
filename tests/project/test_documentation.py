"""Each page can be reached: from the navigation of the site, and each decision from the list of decisions."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def nav() -> list[str]:
    """The pages in the navigation, in its order."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    section = re.search(r"^nav:\n((?:[ #].*\n?)+)", text, re.MULTILINE)
    assert section, "mkdocs.yml has no navigation"
    return re.findall(r"([\w/.-]+\.md)$", section[1], re.MULTILINE)


def decisions() -> list[str]:
    return sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))


def test_every_page_is_in_the_navigation_once() -> None:
    """A Korean page is the translation of one that is there."""
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(nav()) == sorted(page for page in pages if not page.endswith(".ko.md"))


def test_every_decision_is_listed_with_its_number() -> None:
    listed = re.findall(
        r"^\| \[(\d+)\. [^]]+\]\(([^)]+)\)", (DOCS / "decisions/index.md").read_text(), re.MULTILINE
    )
    assert [name for _, name in listed] == decisions()
    assert [int(number) for number, _ in listed] == list(range(1, len(listed) + 1))


def test_every_decision_begins_with_its_number() -> None:
    for name in decisions():
        heading = (DOCS / "decisions" / name).read_text(encoding="utf-8").partition("\n")[0]
        assert heading.startswith(f"# {int(name[:4])}. "), name


def test_every_korean_page_translates_a_page() -> None:
    korean = list(DOCS.rglob("*.ko.md"))
    assert korean
    assert [path for path in korean if not path.with_name(path.name.replace(".ko.md", ".md")).exists()] == []


def _skeleton(name: str) -> dict[str, list[str]]:
    """The parts of a README that both languages share: levels of headings, first cells of tables, commands, links."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {
        "headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "cells": re.findall(r"^\| (`[^|]*) \|", prose.replace(r"\|", "/"), re.MULTILINE),
        "commands": [
            line.partition("#")[0].partition("--")[0][:10] for line in "\n".join(blocks).splitlines()
        ],
        "links": sorted(link.replace(".ko.md", ".md") for link in re.findall(r"\]\(([^)]*)\)", prose)),
    }


def test_both_readmes_have_the_same_headings_tables_commands_and_links() -> None:
    english, korean = _skeleton("README.md"), _skeleton("README.ko.md")
    assert len(english["cells"]) > 30
    assert english == korean
