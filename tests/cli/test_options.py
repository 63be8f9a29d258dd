"""Commands whose work is in a module of its own."""

from importlib import import_module
from inspect import signature
from pathlib import Path

import click
import pytest

import collector.cli

JOBS = sorted(path.stem for path in Path(collector.cli.__file__).parent.glob("*_job.py"))
DEFERRED = [job.removesuffix("_job") for job in JOBS if hasattr(import_module(f"collector.cli.{job}"), "run")]


@pytest.mark.parametrize("verb", DEFERRED)
def test_the_work_of_a_command_takes_the_options_that_the_command_has(verb: str) -> None:
    command = getattr(import_module(f"collector.cli.{verb}"), verb)
    assert isinstance(command, click.Command)
    work = import_module(f"collector.cli.{verb}_job").run
    assert {option.name for option in command.params} == set(signature(work).parameters)


def test_the_commands_whose_help_is_quick_are_among_them() -> None:
    assert {"once", "backfill", "replay", "status", "gaps", "sql"} <= set(DEFERRED)
