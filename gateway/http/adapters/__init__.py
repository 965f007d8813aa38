"""What the doors need of the kernel, had through its own calls."""
