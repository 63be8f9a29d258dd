"""`collector check --online --learn`: ask a host what no document says, show it, store it, and write a report."""

from datetime import UTC, datetime
from pathlib import Path

import click

from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.db.api_facts import save_api_facts
from collector.errors import ConfigError
from collector.kiwoom.api_facts import ApiFacts
from collector.kiwoom.learn.answer import LearnedAnswer
from collector.kiwoom.learn.findings import find_all
from collector.kiwoom.learn.observe import KEY_AGE, observe
from collector.kiwoom.learn.report import write_report

REPORT = "learned.md"


WARNING = """\
--provoke exceeds the quota of ka10101 on purpose, a call that no sweep needs: about a dozen requests are refused within
forty seconds. Every public report says that a refusal costs the refused request alone, but nobody knows whether Kiwoom
minds repeated ones. Nothing is sent beyond the quota if the host may count all calls together."""


async def learn(
    context: CliContext, report: Path, *, provokes: bool = False, key_age: float = KEY_AGE
) -> list[LearnedAnswer]:
    """Ask with the first key, through its rate limiter; facts known before do not change what is asked."""
    api = context.config.api
    at = datetime.now(UTC)
    async with bootstrap.open_collector(context, facts=ApiFacts()) as collector:
        seen = await observe(collector.kiwoom, api.requests_per_second, key_age=key_age, provokes=provokes)
        findings = find_all(seen)
        facts = {name: value for finding in findings for name, value in finding.facts.items()}
        host = bootstrap.host_of(api)
        await save_api_facts(collector.store.database, host, facts)
        requests = collector.kiwoom.answers.total()
    for finding in findings:
        click.echo(f"{finding.question}\n    {finding.answer}")
    _save(report, write_report(host, at, requests, findings))
    click.echo(f"# {len(facts)} facts of {host} stored (view api_fact); the report is in {report}")
    return findings


def _save(report: Path, text: str) -> None:
    try:
        report.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{report} cannot be written: {error.strerror}", hint="name another file with --report"
        ) from None
