"""Which rooms may import which (the folder tree is the architecture); sources are parsed, not imported."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("proto", "server", "workers", "client")

PROTO = ("raydient.v1", "raydient.chunks", "raydient.spec", "raydient.files", "raydient.steps", "raydient.wire")

ALLOWED = {
    "raydient.v1": {"raydient.v1"},
    "raydient.spec": {"raydient.spec"},
    "raydient.chunks": set(),
    "raydient.files": set(),
    "raydient.steps": {"raydient.steps"},
    "raydient.wire": {"raydient.wire", "raydient.steps"},
    "raydient.workers": {"raydient.workers", *PROTO},
    "raydient.server": {"raydient.server", "raydient.workers", *PROTO},
    "raydient.client": {"raydient.client", *PROTO},
}
"""Portion of the namespace to the portions that its modules may import at any time."""

LAZILY = {"raydient.client": {"raydient.server", "raydient.workers"}}
"""Portions that they may also import inside a function: the embedded mode."""

PURE = ("raydient.workers.network", "raydient.workers.data", "raydient.server.parameters")
"""Rooms that import no infrastructure."""

WITHOUT_TRANSPORT = ("raydient.workers.network", "raydient.workers.data")
"""Rooms that import the steps and not the transport."""

ROOMS = {
    "api": {"jobs", "training"},
    "metrics": {"jobs", "training"},
    "jobs": {"training"},
    "training": {"parameters", "clusters"},
    "parameters": set(),
    "clusters": set(),
}
"""Room of the server to the rooms that its modules may import, lazily or not."""

BESIDE_ROOMS = {"errors", "calls", "logs"}
"""Modules of the server that every room may import, and that import no room."""

WIRING = {"app", "embedded", "service"}
"""Modules of the server that put the rooms together; no room imports them."""

INFRASTRUCTURE = {"ray", "grpc", "prometheus_client"}


def sources():
    """Every module of ours, generated ones too: dotted name and path."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[0] == "raydient":
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(sources())


def is_lazy(node):
    """Return True for a node whose body runs when it is called, or never."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def imports(name, path):
    """(imported module, whether lazily: inside a function or for type checkers only) for every import of a module."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def walk(node, lazily):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, lazily) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    base = ".".join(
                        filter(None, [*package.split(".")[: len(package.split(".")) - child.level + 1], base])
                    )
                # `from a import b` may name the module a.b; take the longer name where there is such a module.
                yield from (
                    (f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base, lazily)
                    for alias in child.names
                )
            else:
                yield from walk(child, lazily or is_lazy(child))

    return list(walk(ast.parse(path.read_text(encoding="utf-8")), False))


def portion(module):
    return ".".join(module.split(".")[:2])


def test_every_portion_has_a_rule():
    assert {portion(name) for name in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    allowed, lazily_allowed = ALLOWED[portion(name)], LAZILY.get(portion(name), set())
    for imported, lazily in imports(name, MODULES[name]):
        if imported.split(".")[0] == "raydient":
            assert portion(imported) in (allowed | lazily_allowed if lazily else allowed), imported


def room(module):
    """The room of a module of the server, or the name of a module beside the rooms; empty for other modules."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["raydient", "server"] and len(parts) > 2 else ""


def test_rooms_of_the_server_have_no_cycle():
    assert {room(name) for name in MODULES} - {""} == set(ROOMS) | BESIDE_ROOMS | WIRING
    TopologicalSorter(ROOMS).prepare()


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) and room(name) not in WIRING])
def test_rooms_of_the_server_import_one_way(name):
    imported = {room(module) for module, _ in imports(name, MODULES[name])} - {"", room(name)}
    assert imported <= ROOMS.get(room(name), set()) | BESIDE_ROOMS


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(PURE)])
def test_pure_rooms_know_no_infrastructure(name):
    assert not {imported.split(".")[0] for imported, _ in imports(name, MODULES[name])} & INFRASTRUCTURE


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(WITHOUT_TRANSPORT)])
def test_mathematics_and_data_know_no_transport(name):
    assert "raydient.wire" not in {portion(imported) for imported, _ in imports(name, MODULES[name])}


def test_few_modules_know_ray():
    knowing = {
        name for name, path in MODULES.items() for imported, _ in imports(name, path) if imported.split(".")[0] == "ray"
    }

    assert knowing == {
        f"raydient.server.clusters.{name}" for name in ("own_ray", "ray", "ray_nodes", "ray_placement", "ray_process")
    }


def test_the_namespace_has_a_portion_in_each_folder_and_no_init():
    for folder in FOLDERS:
        assert not (ROOT / folder / "__init__.py").exists()
        assert (ROOT / folder / "raydient").is_dir()
        assert not (ROOT / folder / "raydient" / "__init__.py").exists()


def test_no_import_is_excused():
    """`try: import ... except ImportError` between modules of ours hides a broken installation."""
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try) and any("ImportError" in ast.unparse(h.type or node) for h in node.handlers):
                tried = [i for statement in node.body for i in ast.walk(statement)]
                ours = [
                    i for i in tried if isinstance(i, ast.ImportFrom) and (i.level or "raydient" in (i.module or ""))
                ]
                assert not ours, path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import raydient.server.app", [("raydient.server.app", False)]),
        ("from . import hub", [("raydient.wire.hub", False)]),
        ("from .hub import Hub", [("raydient.wire.hub", False)]),
        ("from ..spec.job import JobSpec", [("raydient.spec.job", False)]),
        ("from raydient.wire import hub, frames", [("raydient.wire.hub", False), ("raydient.wire.frames", False)]),
        ("def f():\n  if x:\n    import ray.actor", [("ray.actor", True)]),
        ("if TYPE_CHECKING:\n  from raydient.server import app", [("raydient.server.app", True)]),
        ("if True:\n  import ray", [("ray", False)]),
        ("class A:\n  from raydient import client", [("raydient.client", False)]),
    ],
)
def test_imports_are_found_in_every_form(source, expected, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(source)

    assert imports("raydient.wire.module", path) == expected


def test_tests_have_names_of_their_own():
    """Test files are imported by name: two of one name would hide each other in reports."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert len(names) == len(set(names))
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_commands_print_through_one_module():
    """It escapes what names and values from outside would do to a terminal."""
    folder = ROOT / "client" / "raydient" / "client" / "cli"
    printing = [path.name for path in folder.glob("*.py") if "click.echo(" in path.read_text(encoding="utf-8")]
    assert printing == ["output.py"]
