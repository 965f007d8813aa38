"""Between the scheduler's protos and its model: the only code that knows both. Called by the servicer."""
