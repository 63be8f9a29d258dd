"""`collector notify`: list the events that people are told of, or try the services with `--test`."""

from pathlib import Path

import click

from collector.cli.options import config_option


@click.command(
    epilog="""\b
Examples:
  collector notify                                what lasts, and the newest events
  collector notify --test                         a test message to each service, and one ping
"""
)
@click.option(
    "--test", "is_test", is_flag=True, help="Send a test message to each service, and call the ping."
)
@config_option
def notify(is_test: bool, config_path: Path | None) -> None:
    """List the events that people are told of, or try the services.

    `notify:` in the configuration says what is told. COLLECTOR_NOTIFY_URLS, or the file that
    COLLECTOR_NOTIFY_URLS_FILE names, has the URLs of the services: Telegram (tgram://), Slack, Discord, mail,
    ntfy, webhooks (json://) and more, as apprise spells them. Exit status of --test: 0 every service
    accepted the message; 1 some did not; 2 there is no service, or no message was sent.
    """
    from collector.cli.notify_job import run  # noqa: PLC0415 - 0.3 s that `--help` does not need

    run(is_test, config_path)
