"""Where saved states of the engine are kept."""
