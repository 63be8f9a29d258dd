"""Struct types of msgspec are complete before a thread can use them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNPREPARED = """
import gc, importlib, pkgutil
import msgspec
import collector

for module in pkgutil.walk_packages(collector.__path__, "collector."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


tables = [each for each in gc.get_objects() if type(each).__name__ == "StructInfo"]
prepared = {id(part) for table in tables for part in gc.get_referents(table)}
structs = [each for each in subclasses(msgspec.Struct) if each.__module__.startswith("collector.")]
print(len(structs))
for each in structs:
    if id(each) not in prepared:
        print(f"{each.__module__}.{each.__qualname__}")
"""
AT_ONCE = """
import struct, sys, threading
from collector.base import answers

HEAD = b'{"requested_at":"2026-11-20T11:00:00Z","answers":[],"dropped":3}'
DATA = struct.pack(">I", len(HEAD)) + HEAD
together, found = threading.Barrier(8), []


def read():
    together.wait()
    found.append(answers.decode_answers(DATA).dropped)


sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(found)
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_struct_of_the_program_is_complete_after_the_import() -> None:
    """The table of a struct that is not would be built at its first use, perhaps by two threads at once."""
    count, *unprepared = run(UNPREPARED).splitlines()
    assert int(count) > 10
    assert unprepared == []


def test_threads_may_decode_kept_answers_for_the_first_time_at_once() -> None:
    assert run(AT_ONCE) == f"{[3] * 8}\n"
