"""Keeps in what nobody vouches for: the port `Sandbox` by namespaces, Landlock and filters of calls."""
