"""The demo model: its data, training, export and evaluation, and the GGUF file itself."""
