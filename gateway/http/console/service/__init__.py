"""Use cases of the console: who signs in, for how long, and with what the calls are made. No frameworks."""
