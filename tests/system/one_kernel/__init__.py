"""System tests that share one kernel, also those that kill a process of it: it comes back.

Each test uses agents of its own names. The files run in one worker, one after another; see tests/conftest.py.
"""
