"""Small tools that every package may use: tasks, durations, YAML with positions, package data."""
