"""What stands behind storage's ports: the access manager."""
