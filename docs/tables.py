"""`make docs`: write the tables of these pages that say what the code says, from the code.

A page has a table between `<!-- generated: NAME -->` and `<!-- end -->`; `TABLES` has the function that makes it.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

import raydient.client
from raydient.client.cli import COMMANDS, Program, failures
from raydient.client.cli.serve import serve
from raydient.server.jobs.reasons import NOTICES, REASONS
from raydient.server.metrics.exporter import RPC_SECONDS
from raydient.server.metrics.job_table import JOB, JOBS
from raydient.server.metrics.service_table import SERVICE
from raydient.wire.frames import FRAMES
from tests.teeth.planting import BUGS, SEEDS

DOCS = Path(__file__).parent
REGION = re.compile(r"(?<=<!-- generated: )(\S+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

Row = tuple[str, ...]


def metrics() -> Iterator[Row]:
    """Each metric with its type, its labels and its help."""
    yield "metric", "type", "labels", "meaning"
    call, text, labels = RPC_SECONDS
    families = [(f.name, f.kind, f.labels, f.help) for f in SERVICE]
    families += [(call, "histogram", labels, text)]
    families += [(f.name, f.kind, (JOB, *f.labels), f.help) for f in JOBS]
    for name, kind, named, meaning in families:
        yield f"`{name}`", kind, _codes(named), _phrase(meaning)


def serve_options() -> Iterator[Row]:
    """Each option of `raydient serve` with its default."""
    yield "option", "default", "meaning"
    for option in serve.params:
        text, default = _help(option)
        yield f"`{option.opts[0]}`", default or ("off" if option.is_flag else "none"), text


def commands() -> Iterator[Row]:
    """Each command, commands of a group included, with its arguments and the first sentence of its help."""
    yield "command", "what it does"
    for name, command in _commands():
        arguments = [p.metavar for p in command.params if isinstance(p, click.Argument)]
        arguments += [f"{p.opts[0]} N" for p in command.params if isinstance(p, click.Option) and p.required]
        yield f"`{' '.join([name, *arguments])}`", _phrase(inspect.cleandoc(command.help or "").split("\n\n")[0])


def environment() -> Iterator[Row]:
    """Each environment variable that stands for an option."""
    yield "environment variable", "option", "meaning"
    options = {p.envvar: p for _, command in _commands() for p in command.params if getattr(p, "envvar", None)}
    for name, option in options.items():
        text, default = _help(option)
        yield f"`{name}`", f"`{option.opts[0]}`", text + (f"; default: {default}" if default else "")


def exit_statuses() -> Iterator[Row]:
    """Each exit status of the command line."""
    yield "status", "meaning"
    yield from ((str(status), meaning) for status, meaning in failures.STATUSES.items())


def exceptions() -> Iterator[Row]:
    """Each exception of the client with its docstring, attributes included."""
    yield "exception", "when"
    for name in raydient.client.__all__:
        kind = getattr(raydient.client, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            text, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")
            named = re.sub(r"^    (\w+):", r"; `error.\1`:", attributes, flags=re.MULTILINE)
            yield f"`{name}`", _phrase(text) + re.sub("[ .]*;", ";", _phrase(named))


def reasons() -> Iterator[Row]:
    """Each reason of a job's state."""
    yield "reason", "state", "why"
    yield from ((f"`{reason}`", state, why) for reason, (state, why) in REASONS.items())


def notices() -> Iterator[Row]:
    """Each notice of a job."""
    yield "notice", "meaning"
    yield from ((f"`{notice}`", meaning) for notice, meaning in NOTICES.items())


def frames() -> Iterator[Row]:
    """Each kind of frame."""
    yield "frame", "direction", "meaning"
    yield from ((f"`{kind.name}`", direction, meaning) for kind, (direction, meaning) in FRAMES.items())


def planted_bugs() -> Iterator[Row]:
    """Each bug of `make teeth` with its place and its catcher."""
    yield "bug", "in", "caught by"
    for bug in BUGS:
        kind, _, name = bug.catcher.partition(" ")
        catcher = "a seed" if kind == SEEDS else f"scenario `{name}`" if name else f"`{kind}`"
        yield bug.title, _codes(dict.fromkeys(Path(edit.file).name for edit in bug.edits)), catcher


TABLES: Mapping[str, Callable[[], Iterable[Row]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(metrics, serve_options, commands, environment, exit_statuses, exceptions),
        *(reasons, notices, frames, planted_bugs),
    )
}
"""By the name in the marker."""


def regenerated(page: str) -> str:
    """Return the text of a page with its tables made anew. Raises KeyError for an unknown name."""
    return REGION.sub(lambda match: f"{match[1]}{match[2]}{markdown(TABLES[match[1]]())}", page)


def markdown(rows: Iterable[Row]) -> str:
    """Return a table whose first row is the heading."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells]
    return "\n".join([lines[0], re.sub(r"[^|]+", "---", lines[0]), *lines[1:], ""])


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(Program(name="raydient"))
    for name in COMMANDS:
        command = context.command.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {part}", each) for part, each in command.commands.items())
        else:
            yield name, command


def _help(option: click.Parameter) -> tuple[str, str]:
    """Return the help of an option and its default, with options, paths and addresses as code; empty without one."""
    text, _, default = (option.help or "").partition("[default: ")
    if option.show_default:
        default = f"{option.default:g}" if isinstance(option.default, float) else f"`{option.default}`"
    else:
        default = re.sub(r"(?<![\w`])(~?[\w.]*/[\w./]+)", r"`\1`", default.rstrip("]"))
    return re.sub(r"(--[a-z][a-z-]+( ray\b)?)", r"`\1`", _phrase(text)), default


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _phrase(sentence: str) -> str:
    """Return a sentence on one line, without its full stop."""
    return " ".join(sentence.split()).rstrip(".")


def main() -> int:
    """Write all pages anew; the exit status is 0."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := regenerated(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
