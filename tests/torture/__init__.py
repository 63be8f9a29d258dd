"""Trying to make the program lose something: `python -m tests.torture`, see docs/explanation/proofs/torture.md."""
