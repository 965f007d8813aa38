"""The vocabulary that the dialects share: conversations, tools, sampling, hints, texts that grow. Pure.

Everything here reads what a client sent and raises InvalidRequest or UnsupportedParameter in the client's own
words, or writes what a client reads.
"""
