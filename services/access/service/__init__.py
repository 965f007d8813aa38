"""The use cases of the access manager: asynchronous, without gRPC, SQL and protobuf."""
