"""The use cases of the context manager.

They own the order of steps and how many windows wait for other processes. Called by the servicer and by
background tasks of `main`, on the event loop.
"""
