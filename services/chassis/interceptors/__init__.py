"""What happens to every call before and after its handler: one interceptor running plain steps in order."""
