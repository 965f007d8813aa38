"""What the console's use cases need of the kernel, as calls of its contract."""
