"""Where saved states of the engine are kept: files and their catalogue.

Used by the use cases on the event loop; files are touched in worker threads.
"""
