"""What stands behind the access manager's other ports.

The policy engine, the process that judges policy texts, the signing keys, this process's own authoriser. Made
by `main`; the policy engine may be used by any thread, the rest belongs to the event loop.
"""
