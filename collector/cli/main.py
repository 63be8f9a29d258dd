"""The command `collector`: each verb lives in its own module and is imported only when it is asked for."""

from importlib import import_module

import click

VERBS: dict[str, str] = {
    "simulate": "collector.cli.simulate:simulate",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when named, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = VERBS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="collector")
def main() -> None:
    """Certified snapshots of Korean sector prices, from the Kiwoom REST API into PostgreSQL."""
