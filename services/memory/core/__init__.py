"""The rules of notes, their cache and their ranking, without I/O.

Called by the use cases: inside the store's transactions, on the database's threads; rankings in a worker
thread.
"""
