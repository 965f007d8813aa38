"""The console's rules on values: names it goes by, its files, sessions, guesses, batches. Pure."""
