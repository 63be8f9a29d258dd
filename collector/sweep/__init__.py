"""A sweep: reads each target, certifies it, stores it."""
