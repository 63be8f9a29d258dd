"""Writes log lines: an event and its facts, as JSON for machines or in a readable form on a terminal.

Locals of frames are never shown, and no secret is ever passed to a log call. Log records of libraries are
reduced to the logger's name, the message template and the place: their full texts and exceptions may quote a
request. If the log reader is slow or gone, lines are dropped rather than blocking the program.
"""

import logging
import os
import select
import stat
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def _hide_module(name: str) -> Iterator[None]:
    """Make a package impossible to import while the block runs."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # None in sys.modules blocks an import
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


# structlog imports rich if it is installed: 5 MB, for colored tracebacks with locals, which are never shown
# here.
with _hide_module("rich"):
    import structlog

logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
"""The logger of every module: `logger.info("walk.stored", target=...)`."""


def configure(*, level: str = "info", stream: TextIO | None = None, color: bool | None = None) -> None:
    """Set up structlog for the whole program; `color` None: where a person reads it and NO_COLOR is not set."""
    if stream is None:
        stream = getattr(sys.stderr, "stream", sys.stderr)  # lines that are lost are counted here
    assert stream is not None
    pretty = stream.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_empty_hint,
            *_rendering(pretty=pretty, color=_wants_color(stream) if color is None else color),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(_LossyStream(stream)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _StdlibHandler)] + [
        _StdlibHandler()
    ]


class _LossyStream:
    """A stream that never blocks: it counts and drops lines when a disk is full or a reader is slow or gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pipe = _pipe_of(stream)
        self._lost = 0

    def write(self, text: str) -> None:
        """Write a line, preceded by the number of lines lost before it."""
        notice = f'{{"lines": {self._lost}, "event": "log.lost", "level": "warning"}}\n' if self._lost else ""
        if self._is_full():
            self._lost += 1
            return
        try:
            self._stream.write(notice + text)
            self._stream.flush()
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def flush(self) -> None:
        """Do nothing: `write` flushes every line."""

    def _is_full(self) -> bool:
        """Whether writing would block. A writable pipe accepts 4 kB at once."""
        return self._pipe is not None and not select.select([], [self._pipe], [], 0)[1]


def _pipe_of(stream: TextIO) -> int | None:
    """Return the stream's descriptor if it is a pipe, else None."""
    try:
        descriptor = stream.fileno()
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None


def _wants_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


class _StdlibHandler(logging.Handler):
    """Forwards log records of libraries, from WARNING up, as lines of this program."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        facts = {"library": record.name, "text": str(record.msg).partition("\n")[0][:200]}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts["error"] = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            facts["where"] = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
        structlog.get_logger().warning("library.complained", **facts)


def _order(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Put the instant, the level and the name of the event before its values, for eyes and for `cut`."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _drop_empty_hint(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave a hint out if there is none."""
    return {name: value for name, value in event.items() if name != "hint" or value}


def _rendering(*, pretty: bool, color: bool) -> list[structlog.typing.Processor]:
    if pretty:
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=color, exception_formatter=plain)]
    without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        _order,
        structlog.processors.ExceptionRenderer(without_locals),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
