"""What storage decides, without I/O: functions on values or inside one transaction that is passed in.

Called by the use cases: inside the index's transactions, on the database's threads; diffs, texts and rankings
in worker threads.
"""
