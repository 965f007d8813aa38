"""Adapters of the storage ports: the index in SQL or RAM, blobs in a directory or RAM."""
