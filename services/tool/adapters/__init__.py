"""What stands behind the tool manager's ports.

Access, storage, the scheduler's queue, the built-in tools.
"""
