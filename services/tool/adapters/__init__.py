"""What stands behind the tool manager's other ports.

Access, approvals, storage, the scheduler's queue, the built-in tools. Made by `main`, used by the use cases
on the event loop.
"""
