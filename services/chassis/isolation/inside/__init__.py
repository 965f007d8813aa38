"""What runs in processes of its own around and in a sandbox; the standard library alone, for a fast start."""
