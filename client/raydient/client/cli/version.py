"""`raydient version`."""

from importlib.metadata import version as installed_version

import click

from .options import debug_option, json_option
from .output import echo, print_json


@click.command()
@json_option
@debug_option
def version(*, as_json: bool) -> None:
    """Print the version."""
    number = installed_version("raydient")
    if as_json:
        print_json({"version": number})
    else:
        echo(f"raydient {number}")
