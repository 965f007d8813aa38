"""Adapters of the NoteStore port."""
