"""The use cases: a job from its head to its end, and the wait for its place."""
