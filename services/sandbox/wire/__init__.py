"""Conversion between protobuf and model."""
