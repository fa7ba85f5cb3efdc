"""Output of commands: JSON for programs, lines and aligned columns for people."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from raydient.spec.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from raydient.spec.job import JobSpec


def echo(text: str, *, err: bool = False) -> None:
    """Print lines with control characters escaped, so that names and values cannot send commands to the terminal."""
    click.echo(printable_lines(text), err=err)


def warn(spec: "JobSpec") -> None:
    """Print the warnings about a job on standard error."""
    from raydient.spec.advice import network_warnings

    for warning in network_warnings(spec.network):
        echo(f"warning: {warning}", err=True)


def print_json(value: Any, *, one_line: bool = False) -> None:
    """Print a value as JSON, at once."""
    click.echo(printable_json(json.dumps(value, indent=None if one_line else 2, ensure_ascii=False)))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; only the header if there are no rows."""
    table = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print properties, one per line; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        echo(f"{name.ljust(width)}  {printable(value)}")


def workers_text(workers: Any) -> str:
    """Format a WorkerRange: `4 workers`, or `2 to 4 workers`."""
    from raydient.spec.phrases import counted

    most = counted(workers.max, "worker")
    return most if workers.min == workers.max else f"{workers.min} to {most}"


def update_lines(updates: Iterable[Any]) -> list[str]:
    """Format each TrainingJobUpdate: `training.max_steps 100 -> 500, from step 240 on`."""
    lines = []
    for update in updates:
        fields = [f"{f.path.removeprefix('spec.')} {_given(f.before)} -> {_given(f.after)}" for f in update.fields]
        when = f"from step {update.step} on" if update.HasField("step") else "not in force yet"
        lines.append(", ".join([*fields, when]))
    return lines


def _given(text: str) -> str:
    return "none" if text == "null" else text


def time_text(stamp: "Timestamp") -> str:
    """Format a time: `2026-01-02 03:04:05 UTC`."""
    return stamp.ToDatetime().isoformat(" ", "seconds") + " UTC"


def as_data(message: "Message") -> dict[str, Any]:
    """Convert a message to its JSON form with the proto's field names.

    Protobuf writes 64-bit integers as text, which `jq` compares as text; here they are numbers.
    """
    from google.protobuf.json_format import MessageToDict

    data = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    _restore_numbers(message.DESCRIPTOR, data)
    return data


def _restore_numbers(described: Any, data: dict[str, Any]) -> None:
    for field in described.fields:
        value = data.get(field.name)
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            if _is_64_bits(inner.fields_by_name["value"]):
                data[field.name] = {key: int(number) for key, number in (value or {}).items()}
        elif _is_64_bits(field) and value is not None:
            data[field.name] = [int(v) for v in value] if isinstance(value, list) else int(value)
        elif inner is not None:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    _restore_numbers(inner, part)


def _is_64_bits(field: Any) -> bool:
    return field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
