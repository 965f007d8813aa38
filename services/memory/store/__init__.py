"""The memory manager's store in SQL: tables, rows, migrations.

Made by `main`, used through the port by the use cases. Transactions run on the database's threads.
"""
