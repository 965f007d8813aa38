"""What storage decides, without I/O: every function works on values or inside one transaction it is given."""
