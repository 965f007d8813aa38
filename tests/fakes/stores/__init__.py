"""Stores in memory: each passes the conformance suite of its port, and stands in for SQL in tests."""
