"""Trying to make the program lose something: `python -m tests.torture`, see docs/torture.md."""
