"""The rules of inference without I/O: prompts, transcripts, constraints, circuits."""
