"""Measurements, side by side: what a decision cost, and where the program stands.

python -m bench            all that need nothing from elsewhere and no more than a few minutes
python -m bench --peers    the same, and what people use instead, in environments that are made for it
python -m bench NAME ...   one of them, with its own arguments
python -m bench report     docs/benchmarks.md, written anew
"""
