"""A sliding-window rate limiter that all processes share through PostgreSQL."""
