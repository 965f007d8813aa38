"""The context manager: conversations fitted to a model's window, and snapshots of unfinished generations."""
