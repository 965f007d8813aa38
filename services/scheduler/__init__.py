"""The scheduler: decides which syscall runs next, on which replica and for how long."""
