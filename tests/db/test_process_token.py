"""A program's name tells others on its machine whether it still runs."""

import os
import shutil
import subprocess
import sys

import pytest

from collector.db.process_token import is_dead, new_process_token


def test_who_runs_is_not_gone_and_no_two_names_are_the_same():
    assert not is_dead(new_process_token())
    assert new_process_token() != new_process_token()


def test_who_has_ended_is_gone():
    ask = "from collector.db.process_token import new_process_token; print(new_process_token())"
    name = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert is_dead(name.strip())


def test_a_number_that_somebody_else_has_by_now_does_not_deceive():
    host, number, began, nonce = new_process_token().split("/")
    numbering = began.partition(".")[0]
    assert is_dead(f"{host}/{number}/{numbering}.1/{nonce}")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_container_of_the_same_name_and_its_host_know_nothing_of_each_others_numbers():
    apart = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c")
    ask = "from collector.db.process_token import is_dead, new_process_token; print(new_process_token(), is_dead({!r}))"
    name, ours_is_gone = subprocess.run(
        [*apart, ask.format(new_process_token())], capture_output=True, text=True, check=True
    ).stdout.split()
    assert name.split("/")[0] == new_process_token().split("/")[0]
    assert ours_is_gone == "False"
    assert not is_dead(name)


@pytest.mark.parametrize(
    "name",
    [f"elsewhere/{os.getpid()}/1/a", "elsewhere", "", "a/b/c/d", f"{os.uname().nodename}/1/another.1/a"],
    ids=["another host", "no number", "nothing", "no numbers", "another numbering"],
)
def test_of_others_nothing_is_known(name):
    assert not is_dead(name)


APART = """
import os, subprocess, sys
from pathlib import Path
from collector.db.process_token import is_dead, new_process_token
code = "from collector.db.process_token import new_process_token as new; print(new(), flush=True); input()"
one = [sys.executable, "-c", code]
other = subprocess.Popen(one, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
name = other.stdout.readline().strip()
new_process_token()  # what it imports for that is out of reach later
if sys.argv[1] == "ended":
    other.communicate("\\n")
subprocess.run(["mount", "-o", "remount,hidepid=2", "/proc"], check=True)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(is_dead(name), Path("/proc", str(other.pid)).exists(), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
@pytest.mark.parametrize(("state", "gone"), [("running", "False"), ("ended", "True")])
def test_a_program_of_another_user_that_proc_hides_is_not_taken_for_dead(state, gone):
    """With `hidepid=2` the folder of the other user's program is not there, whether it runs or not."""
    apart = ("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", APART, state)
    run = subprocess.run(apart, capture_output=True, text=True, check=False)
    assert run.stdout.split() == [gone, "False"], run.stderr
