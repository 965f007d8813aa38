"""What stands behind the server's ports: llama.cpp, model files and their vocabularies."""
