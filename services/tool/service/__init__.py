"""The use cases of the tool manager."""
