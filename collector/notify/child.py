"""Sends one message to services, as a process of its own: `python -m collector.notify.child`.

A service that hangs costs this process alone, and the daemon ends it. On stdin comes first a line with the schemes of
the URLs, as a JSON list: the process imports these services of apprise, and then waits for the order. The order is JSON
`{"urls": [...], "title": ..., "body": ..., "level": ...}`; without a title the URLs are only checked. For each URL a
line `[index, name of the service, reason]` goes to stdout as soon as it is known; the reason is "" if the service
accepted the message. Neither holds a part of a URL.
"""

import json
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LONGEST = 60
"""Seconds from the order until this process ends in any case, also if the daemon is gone."""
UNUSED = 900
"""Seconds until this process ends without an order."""
ANSWER_TIME = 15.0
"""Seconds for the answer of a service, unless its URL has `rto`. After apprise's own four seconds a slow service may
have accepted the message, and the repetition would arrive as a second one.
"""
UNKNOWN = "no service of apprise has such a URL"
_STATUS = re.compile(r"error=([1-5][0-9]{2})\b")


def main() -> None:
    """Read the order from stdin and carry it out."""
    signal.alarm(UNUSED)
    answers, sys.stdout = sys.stdout, sys.stderr  # a library that prints disturbs no answer
    if schemes := sys.stdin.readline():
        prepare(json.loads(schemes))
    text = sys.stdin.read()
    if not text:
        return  # the daemon ended without an order
    signal.alarm(LONGEST)
    order = json.loads(text)
    urls: list[str] = order["urls"]
    with ThreadPoolExecutor(max_workers=len(urls)) as threads:
        work = {threads.submit(send, url, order): index for index, url in enumerate(urls)}
        for done in as_completed(work):
            error = done.exception()
            name, reason = done.result() if error is None else ("", type(error).__name__)
            print(json.dumps([work[done], name, reason]), file=answers, flush=True)


def prepare(schemes: Iterable[str]) -> None:
    """Import apprise and the services of these schemes."""
    with suppress(ImportError):  # `send` reports it
        from apprise import Apprise  # noqa: PLC0415 - the extra [notify]

        # Without a writable folder, or with another loader in apprise, `add` imports all services.
        with suppress(OSError, AttributeError, TypeError):
            _import_services(schemes)
        Apprise().add("json://localhost")


def _import_services(schemes: Iterable[str]) -> None:
    """Import the modules of these schemes alone: all of them take three times as long, and 20 MB more.

    It imports nothing if a scheme is in no module; apprise imports all of them then, to look for it.
    """
    from apprise.plugins import N_MGR  # noqa: PLC0415 - the extra [notify]

    manager: Any = N_MGR
    package = Path(manager.module_path)
    texts = [(path.relative_to(package).parts[0], path.read_bytes()) for path in package.rglob("*.py")]
    modules = [_modules_of(scheme, texts) for scheme in schemes]
    if not all(modules):
        return
    # apprise takes the names from a folder, and imports from its package
    with TemporaryDirectory() as folder:
        for name in set().union(*modules):
            Path(folder, name).touch()
        manager.load_modules(folder)


def _modules_of(scheme: str, texts: Sequence[tuple[str, bytes]]) -> set[str]:
    """The modules of a package whose text has this scheme as a protocol; `texts` are (module, text of a file)."""
    quoted = f'"{scheme}"'.encode()
    protocol = re.compile(rb"protocol\b[^=\n]*=[^=]*?" + re.escape(quoted))
    return {name for name, text in texts if quoted in text and protocol.search(text)}


def send(url: str, order: dict[str, Any]) -> tuple[str, str]:
    """The name of the service, and the reason if it did not accept the message."""
    from apprise import Apprise, AppriseAsset, URLBase  # noqa: PLC0415 - the extra [notify]

    service = Apprise(asset=AppriseAsset(app_id="collector", app_desc="collector", app_url=""))
    if not service.add(url):
        return "", UNKNOWN
    name = str(service[0].service_name)
    if service[0].socket_read_timeout == URLBase.socket_read_timeout:
        service[0].socket_read_timeout = ANSWER_TIME
    if "title" not in order:
        return name, ""
    result = service.notify(
        title=order["title"], body=order["body"], notify_type=order["level"], body_format="text"
    )
    return name, "" if result else _reason(" ".join(_log(result)))


def _log(result: Any) -> Iterator[str]:
    for of_service in result.results:
        for attempt in of_service.attempts:
            yield from (str(entry.message) for entry in attempt.logs)


def _reason(log: str) -> str:
    """The reason in words of this program: the library's own words may quote an answer."""
    if match := _STATUS.search(log):
        return f"it answered HTTP {match[1]}"
    if "onnection error" in log:
        return "it cannot be reached, or it does not answer"
    return "it did not accept the message"


if __name__ == "__main__":
    main()
