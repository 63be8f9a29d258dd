"""Certified snapshots of Korean sector prices, from the Kiwoom REST API into PostgreSQL."""

__version__ = "0.1.0"
