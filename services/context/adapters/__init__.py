"""What stands behind the context manager's other ports.

Access, and the gateway with the caller's own credential. Made by `main`, used by the use cases on the event
loop.
"""
