"""The kernel's processes: one package each, meeting over gRPC only."""
