"""Requests that make no sense are answered as such: never as a fault of the server, and it lives on."""

import itertools
import random

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor as Field

from raydient.v1 import dataset_service_pb2, model_service_pb2, training_service_pb2

TEXTS = ["", "jobs/x", "jobs/../x", "datasets/" + "0" * 64, "\0", "ü" * 300, "/etc/passwd", "a" * 5000, "{}", "WzFd"]
INTEGERS = [0, 1, -1, 2, 7, 2**31 - 1]
FLOATS = [0.0, -1.0, 1e308, float("nan"), float("inf"), 1e-320]
FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def value(field, random, depth):
    match field.type:
        case Field.TYPE_STRING:
            return random.choice(TEXTS)
        case Field.TYPE_BYTES:
            return random.randbytes(random.randint(0, 50))
        case Field.TYPE_BOOL:
            return random.random() < 0.5
        case Field.TYPE_FLOAT | Field.TYPE_DOUBLE:
            return random.choice(FLOATS) if field.type == Field.TYPE_DOUBLE else random.choice(FLOATS[:2] + FLOATS[3:])
        case Field.TYPE_UINT32:
            return random.choice([n for n in INTEGERS if n >= 0])
        case Field.TYPE_ENUM:
            return random.choice([0, 1, 2, 99])
        case Field.TYPE_MESSAGE:
            return message(field.message_type, random, depth + 1)
        case _:
            return random.choice(INTEGERS)


def message(descriptor, random, depth=0):
    """A message with some of its fields filled with odd values."""
    filled = descriptor._concrete_class()
    for field in descriptor.fields:
        if random.random() < 0.3 or depth > 8:
            continue
        if field.type == Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == Field.TYPE_STRING:
                getattr(filled, field.name)[random.choice(TEXTS)] = random.choice(TEXTS)
        elif field.is_repeated:
            values = [value(field, random, depth) for _ in range(random.randint(0, 3))]
            getattr(filled, field.name).extend(values)
        elif field.type == Field.TYPE_MESSAGE:
            getattr(filled, field.name).CopyFrom(value(field, random, depth))
        else:
            setattr(filled, field.name, value(field, random, depth))
    return filled


MODULES = (training_service_pb2, dataset_service_pb2, model_service_pb2)
METHODS = [
    method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def outcome(call, request, *, stream):
    """Code and text of the answer."""
    try:
        answer = call(request, timeout=20)
        if stream:
            list(itertools.islice(answer, 3))
            answer.cancel()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_odd_requests(client, caplog, method):
    odd = random.Random(method.name)
    stub = getattr(client, {"T": "training", "D": "datasets", "M": "models"}[method.containing_service.name[0]])
    call = getattr(stub, method.name)
    for _ in range(60):
        requests = [message(method.input_type, odd) for _ in range(odd.randint(0, 3))]
        request = iter(requests) if method.client_streaming else message(method.input_type, odd)
        code, text = outcome(call, request, stream=method.server_streaming)
        assert code in FINE, (request, text)
        assert "Traceback" not in text
    assert not [record for record in caplog.records if "failed, incident" in record.message]


def test_bytes_that_are_no_message(client):
    odd = random.Random(1)
    for method in METHODS:
        path = f"/{method.containing_service.full_name}/{method.name}"
        if method.client_streaming or method.server_streaming:
            continue
        call = client.channel.unary_unary(path, lambda request: request, lambda response: response)
        for _ in range(5):
            with pytest.raises(grpc.RpcError):
                call(b"\xff" + odd.randbytes(30), timeout=20)
    assert client.upload().size_bytes > 0
