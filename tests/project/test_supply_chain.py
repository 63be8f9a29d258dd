"""What the program is made of: no version below a known hole, and the same wheel from the same source."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.support.wheel import build_wheel

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements/dev.lock", "requirements/run.lock", "deploy/run.lock")
MENDED = {
    "aiohttp": (3, 14, 4),  # CVE-2026-128131: members of gzip without end; cookies without end
    "asyncpg": (0, 32),
    "pynacl": (1, 6, 2),
    "jinja2": (3, 1, 6),  # CVE-2025-27516: out of the sandbox
    "pyyaml": (6, 0, 3),
    "structlog": (26, 1),
}


def versions(lock: str) -> dict[str, tuple[int, ...]]:
    found = re.findall(r"^([a-z0-9_-]+)==([0-9.]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {name: tuple(map(int, version.strip(".").split("."))) for name, version in found}


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("name", MENDED)
def test_no_version_is_below_the_one_that_mended_it(name, lock):
    assert versions(lock)[name] >= MENDED[name]


@pytest.mark.parametrize(
    "lock",
    [
        *LOCKS,
        "requirements/docs.lock",
        "deploy/build.lock",
        "deploy/archive.lock",
        "deploy/notify.lock",
        "tests/archive/readers.lock",
    ],
)
def test_everything_in_a_lock_is_pinned_by_hash(lock):
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[a-z0-9_-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_two_builds_make_the_same_wheel(tmp_path):
    digests = set()
    for name in ("one", "other"):
        wheel = build_wheel(tmp_path / name)
        digests.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(digests) == 1
