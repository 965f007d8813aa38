"""Use cases of the doors: who is calling. No frameworks."""
