"""Adapters of the store port: in memory, and on a SQL database."""
