"""What stands behind the access manager's ports.

The policy engine, the signing keys, its own authoriser.
"""
