"""What the server decides without I/O: parameters, constraints, slots, snapshots, text.

Called by the use cases and the adapters, on the event loop; reading requests also in worker threads.
"""
