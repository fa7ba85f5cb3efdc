"""The programs of the image, and what its build is given."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from raydient.server.api.security import read_tokens

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"

# Stand for `ray` and `raydient`: they write down what they were told and how they ended.
RAY = """#!/bin/bash
echo "ray $*" >>"$LOG"
[ "$RAY_FAILS" != at-start ] || exit 1
mkdir -p "$RAY_TMPDIR/ray/session_latest/sockets" && cd "$_" || exit 1
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("raylet")'
read -r _ <"$RAY_ENDS"
"""
SERVICE = """#!/bin/bash
trap 'echo "service stopped" >>"$LOG"; exit 0' TERM
echo "service $*" >>"$LOG"
echo up >"$SERVICE_UP"
while :; do read -r _ <>"$SERVICE_ENDS" && exit 7; done
"""


class Container:
    """A run of raydient-on-ray with programs that stand for Ray and the service."""

    def __init__(self, folder, *arguments, **variables):
        self.log = folder / "log"
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("ray", RAY), ("raydient", SERVICE)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        for fifo in ("ray-ends", "service-up", "service-ends"):
            os.mkfifo(folder / fifo)
        self.folder = folder
        environment = {
            "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "RAY_TMPDIR": str(folder),
            "LOG": str(self.log),
            "RAY_ENDS": str(folder / "ray-ends"),
            "RAY_FAILS": "",
            "SERVICE_UP": str(folder / "service-up"),
            "SERVICE_ENDS": str(folder / "service-ends"),
            **variables,
        }
        command = [IMAGE / "raydient-on-ray", *arguments]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)

    def wait_for_service(self):
        (self.folder / "service-up").read_text()

    def end(self, program):
        (self.folder / f"{program}-ends").write_text("now\n")

    def lines(self):
        return self.log.read_text().splitlines()

    def close(self):
        """End what a container's end would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture
def container(tmp_path):
    """Starts containers; they are gone after the test."""
    started = []

    def start(*arguments, **variables):
        started.append(Container(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_the_node_first_then_the_service_on_it(container):
    box = container("--head", "--num-cpus=0", "--", "--state", "a b")
    box.wait_for_service()
    assert box.lines() == [
        "ray start --block --head --num-cpus=0",
        "service serve --cluster ray --ray-address auto --stop-jobs --state a b",
    ]


def test_an_earlier_node_is_not_taken_for_this_one(container, tmp_path):
    (tmp_path / "ray" / "session_latest" / "sockets" / "raylet").mkdir(parents=True)
    (tmp_path / "ray" / "old").write_text("")
    container("--").wait_for_service()
    assert not (tmp_path / "ray" / "old").exists()


def test_the_service_stops_when_its_node_ends(container):
    box = container("--")
    box.wait_for_service()
    box.end("ray")
    assert box.process.wait(timeout=20) == 0
    assert box.lines()[-1] == "service stopped"


def test_a_node_that_does_not_start_ends_the_container(container):
    box = container("--", RAY_FAILS="at-start")
    assert box.process.wait(timeout=20) == 1
    assert box.lines() == ["ray start --block"]


def test_a_stop_reaches_the_service(container):
    box = container("--")
    box.wait_for_service()
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=20) == 0
    assert box.lines()[-1] == "service stopped"


def test_the_services_status_is_the_containers(container):
    box = container("--")
    box.wait_for_service()
    box.end("service")
    assert box.process.wait(timeout=20) == 7


def test_a_command_line_without_the_service(container):
    box = container("--head")
    assert box.process.wait(timeout=20) == 2
    assert b"usage: raydient-on-ray" in box.process.stderr.read()


def test_credentials_are_drawn_once(tmp_path):
    def draw():
        subprocess.run([IMAGE / "raydient-credentials", tmp_path], check=True, timeout=60)
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    drawn = draw()
    assert set(drawn) == {"server.pem", "server.key", "tokens", "ray-token"}
    assert drawn["tokens"] != drawn["ray-token"]
    assert len(read_tokens(tmp_path / "tokens")) == 1
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert draw() == drawn
    (tmp_path / "server.key").unlink()
    (tmp_path / "tokens").write_text("")
    again = draw()
    assert again["server.pem"] != drawn["server.pem"], "a pair is a pair"
    assert again["tokens"] != drawn["tokens"]
    assert again["ray-token"] == drawn["ray-token"]


def test_the_build_context_has_the_files_that_it_copies():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    included = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?:--chmod=\S+ )?(?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    assert {path.rstrip("/") for paths in copied for path in paths.split()} == included
    assert "*" in ignored
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    metadata = {project["project"]["readme"], *project["project"]["license-files"]}
    assert {*wheel["sources"], *metadata, "pyproject.toml"} == included - {"deploy/image"}
    assert all((ROOT / path).exists() for path in included)


def test_stages_have_one_base_that_is_pinned():
    bases = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])


def test_the_image_runs_as_a_user_by_number():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    last = dockerfile.split("FROM ")[-1]
    assert last.index("USER 10001") < last.index("HEALTHCHECK") < last.index("ENTRYPOINT")


def test_programs_are_executable():
    for program in IMAGE.iterdir():
        assert os.access(program, os.X_OK), program
