"""Measurements, side by side in one run: what a decision cost, and where the program stands.

python -m bench            every measurement that makes the table in docs/benchmarks.md
python -m bench NAME ...   one of them, with its own arguments
"""
