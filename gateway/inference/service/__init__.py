"""The use cases of inference, on the event loop: generations, their runners, the replicas."""
