"""The scheduler and the context service as inference sees them.

Made by `main`, used by the use cases on the event loop.
"""
