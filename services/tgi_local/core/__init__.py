"""What the server decides without I/O: parameters, constraints, slots, snapshots, text."""
