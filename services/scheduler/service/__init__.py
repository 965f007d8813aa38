"""The use cases of the scheduler. They own the core and run on one event loop."""
