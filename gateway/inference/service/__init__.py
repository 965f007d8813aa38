"""The use cases of inference: generations, their runners, the replicas.

They own every generation that waits or runs here. Called by the servicer, on the event loop, in one
background task for each generation.
"""
