"""Pure rules of the memory manager."""
