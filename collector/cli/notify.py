"""`collector notify`: list the events that people are told of, or try the services with `--test`."""

import click

from collector.cli.options import config_option, run_from


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
@run_from("collector.cli.notify_job")
def notify() -> None:
    """List the events that people are told of, or try the services.

    `notify:` in the configuration says what is told. COLLECTOR_NOTIFY_URLS, or the file that
    COLLECTOR_NOTIFY_URLS_FILE names, has the URLs of the services: Telegram (tgram://), Slack, Discord, mail,
    ntfy, webhooks (json://) and more, as apprise spells them. Exit status of --test: 0 every service
    accepted the message; 1 some did not; 2 there is no service, or no message was sent.
    """
