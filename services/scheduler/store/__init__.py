"""The scheduler's store in SQL: calls that ended and sums of what they took; tables and migrations.

Made by `main`, used through the port by the use cases. Transactions run on the database's threads. What
decides who runs next is never here.
"""
