"""How a process puts its calls before the scheduler: one stream, and a ticket for each attempt at a call.

Called by the gateway's and the tool manager's adapters, on the event loop. `scheduling` is the vocabulary
that access, scheduler and gateway share.
"""
