"""A sliding-window rate limiter shared by all processes through PostgreSQL."""
