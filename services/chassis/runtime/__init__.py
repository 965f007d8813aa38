"""The life of a process: configuration, servers, logs, metrics, tasks, signals.

Called by every `main`. Everything runs on the process's one event loop.
"""
