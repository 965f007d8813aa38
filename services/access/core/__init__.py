"""What the access manager decides, without I/O.

Every function works on values or inside a transaction it is given.
"""
