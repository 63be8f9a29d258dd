"""A program's name tells others on its machine whether it still runs."""

import os
import subprocess
import sys

import pytest

from collector.holder import is_gone, new_name


def test_who_runs_is_not_gone_and_no_two_names_are_the_same():
    assert not is_gone(new_name())
    assert new_name() != new_name()


def test_who_has_ended_is_gone():
    ask = "from collector.holder import new_name; print(new_name())"
    name = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert is_gone(name.strip())


def test_a_number_that_somebody_else_has_by_now_does_not_deceive():
    host, number, _, nonce = new_name().split("/")
    assert is_gone(f"{host}/{number}/1/{nonce}")


@pytest.mark.parametrize(
    "name",
    [f"elsewhere/{os.getpid()}/1/a", "elsewhere", "", "a/b/c/d", f"{os.uname().nodename}/x/1/a"],
    ids=["another host", "no number", "nothing", "no numbers", "no number of a process"],
)
def test_of_others_nothing_is_known(name):
    assert not is_gone(name)
