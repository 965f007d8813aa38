"""The use cases of the access manager: registers, decides, issues, records.

Owns the order of steps and what is remembered between calls. Called by the servicers and by background tasks
of `main`, on the event loop. No framework here.
"""
