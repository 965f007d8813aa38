"""The doors: HTTP dialects that clients of other systems speak, over the same calls as gRPC."""
