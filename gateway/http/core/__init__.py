"""The rules of the doors: what is refused how, and who a caller is. Pure."""
