"""The rules of conversations, windows and snapshots, without I/O.

Called by the use cases: inside the store's transactions, on the database's threads, or on the event loop.
"""
