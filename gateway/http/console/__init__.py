"""The web console: its pages, who is signed in, and the contract's calls as JSON for the pages.

It is a dialect of the door that answers all of `/console/` by itself, on the door's event loop. Whatever a
page wants of the kernel is a call of the contract with the visitor's own token; nothing here decides what one
may.
"""
