"""Starts the whole kernel on one machine: `aios up` and the demo."""
