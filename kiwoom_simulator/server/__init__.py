"""The simulated server: HTTP, endpoints, tokens, rate limit."""
