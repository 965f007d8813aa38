"""Conversion between the SDK's values and protobuf. Nothing outside `_wire` and `calls` sees a pb2 type."""
