"""What stands behind the context manager's ports.

Access, and the gateway with the caller's own credential.
"""
