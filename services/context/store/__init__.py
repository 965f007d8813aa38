"""The context manager's store in SQL, and the encrypting store around any other one.

Made by `main`, used through the port by the use cases. Transactions run on the database's threads.
"""
