"""Describes the market as pure values: calendar, schedules, sectors, and the visible prices at an instant."""
