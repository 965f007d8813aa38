"""What stands behind storage's Access port: the access manager, with the caller's own token.

Made by `main`, used by the use cases on the event loop.
"""
