"""The tools that come with the kernel: pure functions, except where a port is passed in."""
