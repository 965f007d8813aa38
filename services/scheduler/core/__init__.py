"""The pure scheduler: events in, decisions out.

Nothing here knows a clock, a thread, gRPC or SQL; the service's event loop is its only caller.
"""
