"""What releases left behind: stored data, and the contract as their clients know it. The kernel serves both.

One folder a release. `record.py` makes it, with the release's own checkout; the keys in it open nothing else.
"""
