"""The rules of the tool manager. Pure."""
