"""The Compose file agrees with the code, the image and the folders beside it."""

import re
from pathlib import Path

import pytest
import yaml

from raydient.client.cli.serve import serve

DEPLOY = Path(__file__).parents[2] / "deploy"
OURS = ("credentials", "raydient", "worker")
SERVICES = (*OURS, "prometheus", "grafana")


def given(arguments):
    """The options of a command line, by name."""
    return {name: value for name, _, value in (argument.partition("=") for argument in arguments)}


def mounts(service):
    """Return the mounts of a service: (source, mode) by target."""
    split = [mount.split(":") for mount in service.get("volumes", [])]
    return {target: (source, mode[0] if mode else "rw") for source, target, *mode in split}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened(compose, name):
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_only(compose, name):
    for port in compose["services"][name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_secrets_are_in_no_file(compose):
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("TOKEN|PASSWORD|SECRET|KEY", name) or value.startswith("/"), name


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_can_be_told(compose, name):
    for other, how in compose["services"][name].get("depends_on", {}).items():
        awaited = compose["services"][other]
        if how["condition"] == "service_completed_successfully":
            assert awaited["restart"] == "no"
        else:
            assert how["condition"] == "service_healthy"
            assert awaited["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_and_networks_are_declared_and_files_there(compose, name):
    service = compose["services"][name]
    assert set(service.get("networks", [])) <= set(compose["networks"])
    for source, mode in mounts(service).values():
        if source.startswith("."):
            assert (DEPLOY / source).exists()
            assert mode == "ro"
        else:
            assert source in compose["volumes"]


def test_programs_are_in_the_image(compose):
    image = {path.name for path in (DEPLOY / "image").iterdir()}
    checks = [compose["services"][name]["healthcheck"]["test"][1] for name in ("raydient", "worker")]
    starts = [compose["services"][name]["entrypoint"][0] for name in OURS]
    assert {*checks, *starts} - {"ray"} == image


def test_the_service_is_started_as_it_is_described(compose):
    service = compose["services"]["raydient"]
    command = service["command"]
    node, options = (given(part) for part in (command[: command.index("--")], command[command.index("--") + 1 :]))
    assert set(options) <= {option for parameter in serve.params for option in parameter.opts}
    assert options["--address"] == "0.0.0.0:50051"
    assert options["--metrics-address"] == "0.0.0.0:9095"
    assert service["ports"] == ["127.0.0.1:50051:50051", "127.0.0.1:9095:9095"]
    assert service["environment"]["RAYDIENT_ADDRESS"] == "localhost:50051"
    assert service["environment"]["RAYDIENT_TLS_CA"] == options["--tls-certificate"]
    assert {str(Path(options[file]).parent) for file in ("--tls-certificate", "--tls-key", "--tokens-file")} == {
        mount for mount, (source, _) in mounts(service).items() if source == "credentials"
    }
    assert mounts(service)[str(Path(options["--state"]).parent)] == ("state", "rw")
    assert node["--num-cpus"] == "0"
    assert int(service["stop_grace_period"].removesuffix("s")) >= 30


def test_workers_find_the_head_and_prove_its_token(compose):
    head, worker = compose["services"]["raydient"], compose["services"]["worker"]
    options = given(worker["command"])
    assert options["--address"] == f"raydient:{given(head['command'])['--port']}"
    assert options["--metrics-export-port"] == given(head["command"])["--metrics-export-port"]
    assert set(worker["networks"]) & set(head["networks"])
    assert worker["environment"] == head["environment"]
    assert mounts(worker)[str(Path(head["environment"]["RAY_AUTH_TOKEN_PATH"]).parent)] == ("credentials", "ro")
    assert "container_name" not in worker, "it would keep the service from being scaled"
    assert "ports" not in worker


def test_prometheus_reads_what_it_is_configured_to(compose):
    prometheus = compose["services"]["prometheus"]
    folder = Path(given(prometheus["command"])["--config.file"]).parent
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    wanted = [str(folder / Path(pattern).parent) for pattern in configuration["rule_files"]]
    for scrape in configuration["scrape_configs"]:
        (files,) = [file for discovery in scrape["file_sd_configs"] for file in discovery["files"]]
        wanted.append(str(folder / files) if scrape["job_name"] == "raydient" else str(Path(files).parent))
    assert set(wanted) <= set(mounts(prometheus))
    (source, _) = mounts(prometheus)[str(folder / "targets" / "raydient.yml")]
    ((target,),) = [group["targets"] for group in yaml.safe_load((DEPLOY / source).read_text(encoding="utf-8"))]
    assert target == "raydient:9095"
    shared = {mount: source for mount, (source, _) in mounts(compose["services"]["raydient"]).items()}
    assert shared["/tmp/ray"] == mounts(prometheus)["/tmp/ray"][0], "Ray's head keeps the list of nodes there"


def test_grafana_has_every_dashboard_and_its_source(compose):
    grafana = compose["services"]["grafana"]
    provisioning = DEPLOY / mounts(grafana)["/etc/grafana/provisioning"][0]
    (provider,) = [
        provider
        for path in provisioning.glob("dashboards/*.yaml")
        for provider in yaml.safe_load(path.read_text(encoding="utf-8"))["providers"]
    ]
    dashboards = DEPLOY / mounts(grafana)[provider["options"]["path"]][0]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (dashboards / home.name).is_file()
    variables = {
        name
        for path in provisioning.glob("datasources/*.yaml")
        for name in re.findall(r"\$(\w+)", re.sub("#.*", "", path.read_text(encoding="utf-8")))
        if not name.startswith("__")
    }
    assert variables <= set(grafana["environment"])
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    assert set(grafana["networks"]) & set(compose["services"]["prometheus"]["networks"])
