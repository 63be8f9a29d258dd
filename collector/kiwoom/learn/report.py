"""The report of `collector check --learn`: questions and answers, without keys, tokens or next-keys."""

from collections.abc import Sequence
from datetime import datetime

from collector import __version__
from collector.kiwoom.learn.answer import LearnedAnswer
from collector.model import KST


def write_report(host: str, at: datetime, requests: int, findings: Sequence[LearnedAnswer]) -> str:
    """The report as Markdown. It holds no secret, so it may be attached to an issue."""
    lines = [
        f"# What {host} answered",
        "",
        f"{at.astimezone(KST):%Y-%m-%d %H:%M} KST, collector {__version__}, {requests} requests.",
        "",
        "| question | answer | facts |",
        "|---|---|---|",
        *(f"| {each.question} | {_cell(each.answer)} | {_facts(each)} |" for each in findings),
        "",
    ]
    return "\n".join(lines)


def _facts(finding: LearnedAnswer) -> str:
    return "<br>".join(f"`{name}` = {_cell(value)}" for name, value in finding.facts.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
