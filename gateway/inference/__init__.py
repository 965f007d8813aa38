"""Inference: one backend port, its drivers, and the life of a generation, all on the event loop."""
