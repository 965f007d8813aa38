"""The rules of the tool manager, without I/O: the ledger's steps, schemas, locks.

Called by the use cases: on the event loop, inside the store's transactions, and in worker threads for
schemas.
"""
