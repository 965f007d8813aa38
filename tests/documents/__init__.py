"""The documents as a reader follows them: every command and every piece of code, on a real kernel, twice."""
