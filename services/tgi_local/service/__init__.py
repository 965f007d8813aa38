"""The use cases of the server: from a request to its last token.

They own the queue, the slots and the generations under way. Called by the routes of `servicer`, on the event
loop.
"""
