"""What every call passes, and the terms both ends of a call share: methods, errors, names, pages.

The pipeline is called by gRPC, the rest by servicers, wire modules and clients, on the event loop.
"""
