"""Generates the Python code of the public API beside its .proto files: `python proto/generate.py [FOLDER]`.

With a folder, writes there instead, for comparing. The generator is pinned (extra `dev`) and an old one on purpose:
runtimes older than the generator refuse its code.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent


def generate(folder: Path) -> int:
    """Write the generated code below `folder`; answers the compiler's exit status."""
    protos = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("raydient/v1/*.proto"))
    services = [p for p in protos if p.endswith("_service.proto")]
    common = ["protoc", f"--proto_path={ROOT}", f"--proto_path={files('grpc_tools') / '_proto'}"]
    status: int = protoc.main([*common, f"--python_out={folder}", f"--pyi_out={folder}", *protos])
    return status or protoc.main([*common, f"--grpc_python_out={folder}", *services])


if __name__ == "__main__":
    sys.exit(generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
