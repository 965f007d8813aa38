"""The use cases of the memory manager, and the notes that are in RAM.

Called by the servicer and by background tasks of `main`, on the event loop, which alone touches the RAM.
"""
