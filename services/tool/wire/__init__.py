"""Conversion between protobuf and the model; nothing else knows both."""
