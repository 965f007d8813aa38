"""One port, and a driver for each kind of inference server.

Made by `main`, used by the runners and the replica pool on the event loop. A driver raises nothing but the
errors of `gateway.inference.errors`.
"""
