"""Use cases of the memory manager."""
