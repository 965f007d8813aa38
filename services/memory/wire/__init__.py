"""Between protobuf and the model: the only code that knows both. Called by the servicer."""
