"""`raydient dataset`: data files and models that the service keeps."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import DATA, ConnectionOptions, confirm, debug_option, json_option, with_connection, yes_option
from .output import as_data, echo, print_json, print_pairs, print_table, time_text

if TYPE_CHECKING:
    from raydient.v1.dataset_service_pb2 import Dataset

name_argument = click.argument("name", metavar="DATASET")


@click.group()
def dataset() -> None:
    """Data files, and models to start from, that the service keeps."""


@dataset.command()
@click.argument("data", metavar="FILE", type=DATA)
@click.option("-q", "--quiet", is_flag=True, help="Print only the dataset's name.")
@json_option
@with_connection
@debug_option
def upload(*, data: str | Path, connection: ConnectionOptions, quiet: bool, as_json: bool) -> None:
    """Store a file, a folder of texts as one, or the file of a URL, unless the service has its content."""
    with connection.open() as client:
        stored = client.upload_dataset(data)
    if quiet and not as_json:
        echo(stored.name)
    else:
        _show(stored, as_json)


@dataset.command("list")
@json_option
@with_connection
@debug_option
def list_datasets(*, connection: ConnectionOptions, as_json: bool) -> None:
    """List datasets, newest first."""
    with connection.open() as client:
        datasets = list(client.list_datasets())
    if as_json:
        print_json({"datasets": [as_data(each) for each in datasets]})
    else:
        print_table(["NAME", "BYTES", "FILE"], [[d.name, f"{d.size_bytes:,}", d.file_name] for d in datasets])


@dataset.command()
@name_argument
@json_option
@with_connection
@debug_option
def get(*, name: str, connection: ConnectionOptions, as_json: bool) -> None:
    """Show one dataset."""
    with connection.open() as client:
        _show(client.get_dataset(name), as_json)


@dataset.command()
@name_argument
@yes_option
@json_option
@with_connection
@debug_option
def delete(*, name: str, connection: ConnectionOptions, yes: bool, as_json: bool) -> None:
    """Remove a dataset that no unfinished job trains on."""
    confirm(f"Delete {name}?", yes)
    with connection.open() as client:
        client.delete_dataset(name)
    if as_json:
        print_json({})
    else:
        echo(f"{name} is deleted", err=True)


def _show(dataset: "Dataset", as_json: bool) -> None:
    if as_json:
        print_json(as_data(dataset))
        return
    stored = time_text(dataset.create_time)
    pairs = [
        ("name", dataset.name),
        ("file", dataset.file_name),
        ("bytes", f"{dataset.size_bytes:,}"),
        ("stored", stored),
    ]
    print_pairs(pairs)
