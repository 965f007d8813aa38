"""The pure scheduler: events in, decisions out.

Owns the queue, the grants and the accounts. Nothing here knows a clock, a thread, gRPC or SQL; the event loop
of `service` is its only caller, one event at a time, and simulations and tests call it the same way.
"""
