"""The life of a process: configuration, servers, logs, metrics, tasks, signals."""
