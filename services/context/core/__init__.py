"""Pure rules of the context manager."""
