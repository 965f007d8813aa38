"""The rules of inference without I/O: prompts, transcripts, constraints, circuits.

Called by the use cases and the drivers, on the event loop; constraints are compiled in a worker thread.
"""
