"""The storage manager's index in SQL, and its blobs in a directory.

Made by `main`, used through the ports by the use cases. Transactions run on the database's threads, blobs are
read and written in worker threads.
"""
