"""The shelf on the context manager."""
