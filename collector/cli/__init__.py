"""The command line: reads the world, wires the parts, picks the work."""

import sys

from collector.cli.early import prepare_daemon

if sys.argv[1:2] == ["daemon"]:
    prepare_daemon()

from collector.cli.main import main  # it imports for a tenth of a second and more

__all__ = ["main"]
