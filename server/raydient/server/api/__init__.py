"""The gRPC edge: check, convert, call, convert back. Nothing below knows protobuf or gRPC."""
