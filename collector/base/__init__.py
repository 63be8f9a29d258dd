"""Small tools for every package: tasks, durations, days, YAML with positions, package data."""
