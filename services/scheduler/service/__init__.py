"""The use cases of the scheduler: they own the core, the gateways' streams and the timer.

Called by the servicer, on the event loop; nothing here awaits in the middle of a step of the core.
"""
