"""The command line: reads the world, wires the parts, picks the work."""

import sys

from collector.cli.early import mind_signals

mind_signals(sys.argv)

from collector.cli.main import main  # noqa: E402  # it imports for a tenth of a second and more

__all__ = ["main"]
