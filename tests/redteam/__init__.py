"""Attacks of ordinary agents, clients and local users on a kernel of real processes, and what others notice.

`make redteam` runs them all: see `tests/redteam/__main__.py`. docs/THREATS.md names each with its control.
"""
