"""The command line: reads the world, wires the parts, picks the work."""

import sys

from collector.cli.early_signals import open_standard_streams, prepare_daemon

open_standard_streams()
if sys.argv[1:2] == ["daemon"]:
    prepare_daemon()

from collector.cli.main import main  # noqa: E402 - it imports for a tenth of a second and more

__all__ = ["main"]
