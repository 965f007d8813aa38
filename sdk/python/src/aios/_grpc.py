"""gRPC, loaded so that it writes nothing of its own to the standard error, unless GRPC_VERBOSITY is set.

The library repeats each failed handshake there in its own words; ours are in the errors. It reads the
variable while it is loaded, and child processes shall not get it.
"""

import os

_QUIET = "GRPC_VERBOSITY" not in os.environ
if _QUIET:
    os.environ["GRPC_VERBOSITY"] = "NONE"
try:
    import grpc
    import grpc.aio
finally:
    if _QUIET:
        del os.environ["GRPC_VERBOSITY"]

__all__ = ["grpc"]
