"""Use cases of the context manager."""
