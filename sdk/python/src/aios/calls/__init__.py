"""The kernel's syscalls by area, as a `Kernel` offers them."""
