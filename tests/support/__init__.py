"""Helpers of the tests: servers, proxies, clocks, harnesses, stand-ins."""
