"""The storage manager: each agent's versioned files, searchable, shareable, and collections of records."""
