"""Measurements, side by side: what a decision cost, and where the program stands.

python -m bench            all that take no more than a few minutes
python -m bench NAME ...   one of them, with its own arguments
python -m bench report     docs/explanation/proofs/benchmarks.md, written anew
"""
