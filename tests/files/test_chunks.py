"""Messages with chunks of a file have the bytes of protobuf's own encoder."""

import pytest

from raydient.chunks import chunk_message, serialized
from raydient.v1 import dataset_service_pb2, model_service_pb2

SIZES = [0, 1, 127, 128, 16_383, 16_384, 1 << 20]


@pytest.mark.parametrize("kind", [dataset_service_pb2.UploadDatasetRequest, model_service_pb2.DownloadModelResponse])
@pytest.mark.parametrize("size", SIZES)
def test_a_chunk_is_serialized_as_by_the_runtime(kind, size):
    message = kind(chunk=bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    assert chunk_message(kind, message.chunk) == message.SerializeToString()
    assert serialized(chunk_message(kind, message.chunk)) == serialized(message)
