"""The command line: options and configuration, the wiring of the parts, and the commands."""

import sys

from collector.cli.early_signals import open_standard_streams, prepare_daemon


def main() -> None:
    """Run the command line.

    The streams and the daemon's signals are prepared before the other modules are imported. The imports take a
    tenth of a second and more, and a signal to the daemon may come meanwhile.
    """
    open_standard_streams()
    if sys.argv[1:2] == ["daemon"]:
        prepare_daemon()
    from collector.cli.main import main as run  # noqa: PLC0415 - see above

    run()
