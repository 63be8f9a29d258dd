"""`collector notify`: list the events that people are told of, or try the services with `--test`."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.notices import refuse_without_apprise
from collector.config import Environment, NotifyConfig, mask_path
from collector.db.notices import Notice, NoticeStore
from collector.errors import ConfigError
from collector.model import KST
from collector.notify.messages import compose, headline
from collector.notify.ping import ping
from collector.notify.sender import Delivery, Sender, check, label
from collector.secret import Secret

LISTED = 20
"""Events that are listed."""


def run(is_test: bool, config_path: Path | None) -> None:
    """Do the work of `collector notify`."""
    log.configure(level="warning")
    context = read_context(config_path)
    run_command(_test(context) if is_test else _list(context))


async def _list(context: CliContext) -> None:
    async with bootstrap.open_database(context.environment) as database:
        notices = await NoticeStore(database).recent(LISTED)
    for notice in notices:
        click.echo(_line(notice, context.config.notify))
    if not notices:
        click.echo("no event yet")


def _line(notice: Notice, settings: NotifyConfig) -> str:
    ended = f"until {_clock(notice.ended_at)}" if notice.ended_at else "lasts"
    state = "told" if notice.told_at else "not told"
    return f"{_clock(notice.began_at)}  {ended:22}  {state:8}  {headline(notice, settings.language)}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(KST):%Y-%m-%d %H:%M}"


async def _test(context: CliContext) -> None:
    """Send the test message; print a line for each service."""
    settings, environment = context.config.notify, context.environment
    urls = dict(enumerate(environment.notify_urls))
    if not urls and settings.ping is None:
        raise ConfigError(
            "COLLECTOR_NOTIFY_URLS is not set, and notify.ping neither: there is nothing to try",
            hint="set it to the URL of a service, for example tgram://TOKEN/CHAT or json://HOST/PATH",
        )
    refuse_without_apprise(environment)
    is_good = await _test_services(urls, settings) if urls else True
    if settings.ping is not None:
        reason = await ping(settings.ping)
        click.echo(f"ping {mask_path(settings.ping)}: {reason or 'accepted'}", err=bool(reason))
        is_good &= not reason
    if not is_good:
        raise SystemExit(1)


async def _test_services(urls: Mapping[int, Secret], settings: NotifyConfig) -> bool:
    now = datetime.now(UTC)
    message = compose(
        [Notice(0, "test", "", now, {"host": os.uname().nodename}, ended_at=now)], settings.language
    )
    deliveries = await Sender().send(urls, message)
    for index, delivery in sorted(deliveries.items()):
        outcome = delivery.reason or "accepted"
        click.echo(f"service {label(index, delivery)}: {outcome}", err=not delivery.is_accepted)
    return all(delivery.is_accepted for delivery in deliveries.values())


def describe_settings(environment: Environment, settings: NotifyConfig) -> Sequence[str]:
    """The lines of `check` about notices. ConfigError names a URL that is no service's."""
    ping_line = [f"each complete sweep is told to {mask_path(settings.ping)}"] if settings.ping else []
    if not environment.notify_urls:
        return ["no notices are sent: COLLECTOR_NOTIFY_URLS is not set", *ping_line]
    refuse_without_apprise(environment)
    deliveries = run_command(check(dict(enumerate(environment.notify_urls))))
    for index, delivery in deliveries.items():
        if not delivery.is_accepted:
            raise ConfigError(
                f"COLLECTOR_NOTIFY_URLS: entry {index + 1}: {delivery.reason} (it is not shown)",
                hint="https://github.com/caronc/apprise lists the services and the form of their URLs",
            )
    names = ", ".join(_name(delivery) for delivery in deliveries.values())
    return [
        f"notices go to {len(deliveries)} services ({names}), in {_LANGUAGES[settings.language]}",
        *ping_line,
    ]


_LANGUAGES = {"ko": "Korean", "en": "English"}


def _name(delivery: Delivery) -> str:
    return delivery.name or "unknown"
