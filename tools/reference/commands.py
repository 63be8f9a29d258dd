"""Commands and exit codes, from the help texts of the command line."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import yaml

from collector.cli.main import ONE_LINE, VERBS, cli
from tools.reference.markdown import block, code, sentence, table

COLUMNS = 100


def page() -> str:
    """One section for each command: its help text."""
    rows = [(f"[`{name}`](#{name})", text) for name, text in ONE_LINE.items()]
    head = "# Commands\n\nThe program is called `collector`. In a checkout, `./dev run` stands for it.\n"
    return "\n".join([head, table(("command", ""), rows), "", *map(_section, VERBS)])


def _section(name: str) -> str:
    return f"## {name}\n\n{block(_help(name))}\n"


def _help(name: str) -> str:
    context = click.Context(_command(name), info_name=f"collector {name}", terminal_width=COLUMNS)
    return context.command.get_help(context)


def _command(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def exit_codes(path: Path) -> str:
    """The general table, and the sentences of each command about its exit status."""
    general = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = [(code(str(number)), meaning) for number, meaning in general.items()]
    special = [(code(name), text) for name in VERBS for text in _sentences(name)]
    return "\n".join(
        [
            "# Exit codes\n",
            table(("status", "meaning"), rows),
            "\n## In the words of the commands\n",
            table(("command", "exit status"), special),
        ]
    )


def _sentences(name: str) -> Iterator[str]:
    text = " ".join((_command(name).help or "").split())
    if match := re.search(r"Exit status:?.*", text):
        yield sentence(re.sub(r"^Exit status:?\s*", "", match[0]))
