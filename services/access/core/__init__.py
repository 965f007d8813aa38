"""What the access manager decides, without I/O.

Functions on values or inside a transaction that is passed in; they never await. Called by the use cases, the
stores and the adapters: on the event loop, on the database's threads, and in worker threads for decisions.
"""
