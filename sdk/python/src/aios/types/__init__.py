"""The values that the SDK takes and returns: plain dataclasses, no protobuf."""
