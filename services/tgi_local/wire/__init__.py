"""Answers as text-generation-inference writes them."""
