"""One port, and a driver for each kind of inference server."""
