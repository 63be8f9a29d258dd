"""The command line: reads the world, wires the parts, picks the work."""

from collector.cli.main import main

__all__ = ["main"]
