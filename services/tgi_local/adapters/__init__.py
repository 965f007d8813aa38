"""What stands behind the server's ports: llama.cpp, the compiler's judgement, model files, vocabularies.

Made by `main`, used on the event loop. llama.cpp has threads of its own, and is talked to over a private
socket; constraints are compiled in worker processes.
"""
