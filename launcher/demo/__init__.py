"""The demo: twelve agents with different tasks share one small model through the kernel."""
