"""The public gRPC API, package `raydient.v1`: import the generated modules, such as `raydient.v1.training_service_pb2`.

The `.proto` files beside them are the manual; `make proto` writes the modules.
"""
