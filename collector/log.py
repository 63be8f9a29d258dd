"""Log lines: an event and its facts, JSON where a machine reads them and pretty where a person does.

Locals of frames are never shown, and no secret is ever handed to a log call.
"""

import logging
import sys
from typing import TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")


def configure(*, level: str = "info", stream: TextIO | None = None, color: bool | None = None) -> None:
    """Set up structlog for the whole program; `color` None: in color where a person reads it."""
    stream = stream or sys.stderr
    pretty = stream.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(pretty=pretty, color=pretty if color is None else color),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def _rendering(*, pretty: bool, color: bool) -> list[structlog.typing.Processor]:
    if pretty:
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=color, exception_formatter=plain)]
    without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(without_locals),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
