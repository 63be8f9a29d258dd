"""Nine secrets that nobody else's text holds, and the search for them in everything that was written.

Each of the program's secrets has one; what is searched for is every run of eight of its characters, and the whole
of it in base64 (at each of the three alignments), hexadecimal, URL and JSON spelling, and backwards.
"""

import json
import subprocess
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote, quote_plus

APP_KEY = "kW7/mQ2xV9+tR4bN6yHj"
SECRET_KEY = "zD3+pL8/gF5cS1wXu0Ke"
SECOND_APP_KEY = "aU9/hJ4vB7+nM2qZr5Ty"
SECOND_SECRET_KEY = "oC6+eG1/iX3lD8sWk0Pf"
PASSWORD = "vN5/yT8+bR2mK7jQh4Lz"
WEB_TOKEN = "qS1+wE6/fA9dU3gHx7Oc"
NOTIFY_TOKEN = "pF6-wJ3.hS8_eZ2uA5dL"
"""Stands in the URL of a service that receives notices."""
TOKEN = "Jr4/Zb8+Lk1Vn6Mt3Wq9"
SECOND_TOKEN = "Xe2+Pc7/Ys5Gd0Hf4Ui8"
"""The simulator is told to issue these two, one after the other."""

ALL: Mapping[str, str] = {
    "app key": APP_KEY,
    "secret key": SECRET_KEY,
    "second app key": SECOND_APP_KEY,
    "second secret key": SECOND_SECRET_KEY,
    "database password": PASSWORD,
    "web token": WEB_TOKEN,
    "token of a service": NOTIFY_TOKEN,
    "token": TOKEN,
    "second token": SECOND_TOKEN,
}
RUN = 8


def forms(secret: str) -> Iterator[str]:
    """Every spelling in which a secret counts as shown."""
    raw = secret.encode()
    yield from (secret[start : start + RUN] for start in range(len(secret) - RUN + 1))
    yield secret[::-1]
    yield raw.hex()
    yield raw.hex().upper()
    yield quote(secret, safe="")
    yield quote(secret, safe="").lower()
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield secret.replace("/", "\\/")
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            text = encode(b"\0" * before + raw).decode().rstrip("=")
            yield text[
                -(-before * 8 // 6) + (before > 0) : -1
            ]  # without the characters that its neighbours share


_FORMS = {form: name for name, secret in ALL.items() for form in forms(secret)}


def shown(data: bytes) -> list[str]:
    """The names of the secrets that stand in some bytes."""
    return sorted({name for form, name in _FORMS.items() if form.encode() in data})


def shown_in(*folders: Path, but: Sequence[str] = ()) -> list[str]:
    """`NAME in FILE` for each file under these folders that shows a secret; `but` are files' names to pass over."""
    with NamedTemporaryFile("w", suffix=".forms") as listed:
        listed.write("\n".join(_FORMS))
        listed.flush()
        command = [
            "grep",
            "-rlaFf",
            listed.name,
            *(f"--exclude={name}" for name in but),
            "--",
            *map(str, folders),
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    paths = map(Path, found.stdout.splitlines())
    return [f"{name} in {path}" for path in paths for name in shown(path.read_bytes())]
