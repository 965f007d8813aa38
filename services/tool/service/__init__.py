"""The use cases of the tool manager: the registry, calls under way, and the leases of providers.

Called by the servicer and by background tasks of `main`, on the event loop, which alone touches calls and
leases.
"""
