"""A sweep: reads each target, certifies it and stores it."""
