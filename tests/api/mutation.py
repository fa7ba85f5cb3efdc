"""Calls that no correct client makes: odd messages, mutated bytes, wrong numbers of requests, all from a seed."""

import re
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TEXTS = [
    "",
    "\0",
    "ü" * 300,
    "/etc/passwd",
    "a" * 5000,
    "/a" * 3000,
    "/" + "b" * 300,
    "{}",
    "-1",
    "nan",
    "\ud7ff￿",
    "𝄞",
]
NAMES = [
    "jobs/x",
    "jobs/../x",
    "datasets/" + "0" * 64,
    "datasets/x",
    "jobs/x/checkpoints/1",
    "jobs/x/checkpoints/" + "9" * 18,
]
TOKENS = ["WzFd", "W10=", "bnVsbA==", "eyJhIjoxfQ==", "[" * 400, "W1tb" * 300, "====", "ü"]
WORDS = ["a", "b", "y", "relu", "input", "dense_1", "digits.csv", "digits.npz", "f" * 64, "x" * 64]
INTEGERS = [0, 1, -1, 2, 3, 7, 64, 1000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
FLOATS = [0.0, 1.0, -1.0, 1e308, -1e308, 1e38, float("nan"), float("inf"), float("-inf"), 1e-320, 0.5]
BITS = {
    Field.TYPE_INT32: 32,
    Field.TYPE_UINT32: 32,
    Field.TYPE_INT64: 64,
    Field.TYPE_SINT64: 64,
    Field.TYPE_UINT64: 64,
}


@dataclass(frozen=True)
class Mutations:
    """Draws calls with `random`; `known` are names and tokens that exist, `seeds` valid requests by message name."""

    random: object
    known: tuple[str, ...] = ()
    seeds: dict[str, list[Message]] | None = None

    def requests(self, method):
        """The bytes of the requests of one call: one, or several for a stream; sometimes a wrong number."""
        few = method.client_streaming or self.random.random() < 0.03
        count = self.random.choice([0, 1, 2, 2, 3, 5]) if few else 1
        return [self.request(method.input_type) for _ in range(count)]

    def request(self, descriptor):
        """One request's bytes: odd, or close to a valid one, or noise."""
        kind = self.random.random()
        if kind < 0.1:
            return self.random.randbytes(self.random.randint(0, 60))
        seeds = (self.seeds or {}).get(descriptor.full_name)
        if seeds and kind < 0.6:
            message = type(seeds[0])()
            message.CopyFrom(self.random.choice(seeds))
            if self.random.random() < 0.8:
                self.change(message)
        else:
            message = self.message(descriptor)
        data = message.SerializeToString()
        return self.mutated(data) if self.random.random() < 0.3 else data

    def message(self, descriptor, depth=0):
        """A message with some of its fields filled with odd values."""
        filled = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if self.random.random() < 0.3 or depth > 8:
                continue
            self.fill(filled, field, depth)
        return filled

    def fill(self, message, field, depth=0):
        """Give one field an odd value."""
        if field.type == Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            key, target = self.value(entry["key"], depth), getattr(message, field.name)
            if entry["value"].type == Field.TYPE_MESSAGE:
                target[key].CopyFrom(self.value(entry["value"], depth))
            else:
                target[key] = self.value(entry["value"], depth)
        elif field.is_repeated:
            many = 200 if self.random.random() < 0.02 else self.random.randint(0, 3)
            getattr(message, field.name).extend([self.value(field, depth) for _ in range(many)])
        elif field.type == Field.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(self.value(field, depth))
        else:
            setattr(message, field.name, self.value(field, depth))

    def change(self, message):
        """Replace or clear one field somewhere inside a message."""
        inside = [value for field, value in message.ListFields() if field.type == Field.TYPE_MESSAGE]
        inside = [one for value in inside for one in _messages(value)]
        if inside and self.random.random() < 0.7:
            self.change(self.random.choice(inside))
        elif message.DESCRIPTOR.fields:
            field = self.random.choice(message.DESCRIPTOR.fields)
            if self.random.random() < 0.2:
                message.ClearField(field.name)
            else:
                self.fill(message, field)

    def value(self, field, depth):
        """An odd value for a field."""
        match field.type:
            case Field.TYPE_STRING:
                lists = [TEXTS, NAMES, WORDS, TOKENS if "token" in field.name else WORDS, self.known or NAMES]
                return self.random.choice(self.random.choice(lists))
            case Field.TYPE_BYTES:
                return self.random.randbytes(self.random.randint(0, 50))
            case Field.TYPE_BOOL:
                return self.random.random() < 0.5
            case Field.TYPE_FLOAT:
                return self.random.choice([number for number in FLOATS if abs(number) < 1e39 or number != number])
            case Field.TYPE_DOUBLE:
                return self.random.choice(FLOATS)
            case Field.TYPE_ENUM:
                return self.random.choice([0, 1, 2, 99, -1, 2**31 - 1])
            case Field.TYPE_MESSAGE:
                return self.message(field.message_type, depth + 1)
            case _:
                bits = BITS[field.type]
                if field.type in (Field.TYPE_UINT32, Field.TYPE_UINT64):
                    return self.random.choice([number for number in INTEGERS if 0 <= number < 2**bits])
                return self.random.choice(
                    [number for number in INTEGERS if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1)]
                )

    def mutated(self, data):
        """Bytes near those of a message: bits flipped, pieces cut, repeated, nested or inserted."""
        data = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            place = self.random.randint(0, len(data))
            match self.random.randint(0, 5):
                case 0 if data:
                    data[place % len(data)] ^= 1 << self.random.randint(0, 7)
                case 1:
                    del data[place : place + self.random.randint(1, 9)]
                case 2:
                    data[place:place] = data[place : place + self.random.randint(1, 40)] * self.random.randint(1, 4)
                case 3:
                    data[place:place] = self.random.randbytes(self.random.randint(1, 9))
                case 4:
                    data = bytearray(_nested(bytes(data[:300]), self.random.choice([1, 3, 90, 120, 1000])))
                case _:
                    data[place:place] = b"\xff" * self.random.randint(1, 11)
        return bytes(data)


def _messages(value):
    if isinstance(value, Message):
        return [value]
    values = value.values() if hasattr(value, "values") else value
    return [one for one in values if isinstance(one, Message)]


def _nested(data, depth):
    """Bytes as field 1 of field 1 of field 1 ..."""
    for _ in range(depth):
        size, head = len(data), b""
        while size >= 128:
            head, size = head + bytes([size & 127 | 128]), size >> 7
        data = b"\x0a" + head + bytes([size]) + data
    return data


def outcome(channel, method, requests, metadata=()):
    """Make a call with these bytes and return the code and text of its answer.

    At most three answers of a stream are read, within a tenth of a second, because a watch may have none.
    """
    path = f"/{method.containing_service.full_name}/{method.name}"
    seconds = 0.1 if method.server_streaming else 60
    answers = channel.stream_stream(path)(iter(requests), metadata=metadata, timeout=seconds)
    try:
        for number, _ in enumerate(answers):
            if number == 2:
                answers.cancel()
                break
    except grpc.RpcError as error:
        if not (method.server_streaming and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
            return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def reveals_internals(text):
    """True if a message reveals internals: stack traces, folders of the server."""
    return re.search(r"Traceback|File \"|/tmp/|<class|object at 0x", text) is not None
