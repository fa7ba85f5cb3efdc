"""Manifests agree with each other, with the image, and with what the cluster demands of a hardened pod."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from raydient.client.cli.serve import serve

ROOT = Path(__file__).parents[2]
WRITABLE = {"/tmp", "/var/lib/raydient"}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def containers(spec):
    return [*spec.get("initContainers", []), *spec["containers"]]


def weaknesses(spec):
    """Return the faults of a pod: beyond the `restricted` profile, a writable root or a token."""
    pod = spec.get("securityContext", {})
    weak = [flag for flag in ("hostNetwork", "hostPID", "hostIPC") if spec.get(flag)]
    weak += [] if spec.get("automountServiceAccountToken") is False else ["service account token"]
    weak += [f"hostPath {volume['name']}" for volume in spec.get("volumes", []) if "hostPath" in volume]
    for container in containers(spec):
        context = {**pod, **container.get("securityContext", {})}
        rules = {
            "root": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
            "writable root": context.get("readOnlyRootFilesystem") is True,
            "escalation": context.get("allowPrivilegeEscalation") is False and not context.get("privileged"),
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "seccomp": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "memory": "memory" in container.get("resources", {}).get("limits", {}),
        }
        weak += [f"{container['name']}: {name}" for name, kept in rules.items() if not kept]
    return weak


def chosen(selector, nodes):
    """The groups whose pods a label selector chooses."""
    wanted = selector.get("matchLabels", {}).items()
    return [group for group, template in nodes.items() if wanted <= template["metadata"]["labels"].items()]


def port_number(port, container):
    """The number of a container's port, which may be given by name."""
    by_name = {known["name"]: known["containerPort"] for known in container["ports"]}
    return by_name[port] if isinstance(port, str) else port


def serve_options(template):
    """The options of `raydient serve` in the service's container, by name."""
    arguments = template["spec"]["containers"][0]["args"]
    return options(arguments[arguments.index("--") + 1 :])


def options(arguments):
    return {name: value for name, _, value in (argument.partition("=") for argument in arguments)}


def may_connect(policies, source, target, port):
    """Return True if NetworkPolicies admit a connection. `source`: labels of its namespace and, if in ours, its pod."""
    namespace, pod = source

    def from_there(peer):
        if "podSelector" in peer and "namespaceSelector" not in peer:
            return pod is not None and peer["podSelector"]["matchLabels"].items() <= pod.items()
        return peer["namespaceSelector"]["matchLabels"].items() <= namespace.items()

    applying = [
        policy["spec"]
        for policy in policies
        if "Ingress" in policy["spec"]["policyTypes"]
        and policy["spec"]["podSelector"].get("matchLabels", {}).items() <= target.items()
    ]
    assert applying, "without a policy everything is let in"
    rules = [rule for policy in applying for rule in policy.get("ingress", [])]
    return any(
        any(from_there(peer) for peer in rule["from"])
        and ("ports" not in rule or port in [known["port"] for known in rule["ports"]])
        for rule in rules
    )


def test_every_pod_is_hardened(nodes):
    weak = {group: weaknesses(template["spec"]) for group, template in nodes.items()}
    assert weak == {group: [] for group in nodes}


def test_what_is_not_hardened_is_found(rendered):
    (cluster,) = of_kind(rendered("base"), "RayCluster")
    spec = cluster["spec"]["headGroupSpec"]["template"]["spec"]
    bare = {"containers": [{"name": "x"}], "hostNetwork": True, "volumes": [{"name": "v", "hostPath": {}}]}
    assert len(weaknesses(bare)) == 9
    assert weaknesses({**spec, "securityContext": {**spec["securityContext"], "runAsUser": 0}}) == ["ray: root"]


def test_the_namespace_demands_it(documents):
    (namespace,) = of_kind(documents, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {d["metadata"].get("namespace", "raydient") for d in documents} == {"raydient"}


def test_no_secret_is_written_down(documents):
    assert not of_kind(documents, "Secret")


def test_volumes_are_there_and_writable_ones_are_the_images(nodes, documents):
    claims = {claim["metadata"]["name"] for claim in of_kind(documents, "PersistentVolumeClaim")}
    for template in nodes.values():
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in spec["containers"]:
            mounts = container["volumeMounts"]
            assert {mount["name"] for mount in mounts} == set(volumes)
            assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} <= WRITABLE
        used = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v}
        assert used <= claims
    assert all(f" {path}" in DOCKERFILE for path in WRITABLE)


def test_probes_ask_what_is_there(nodes):
    for template in nodes.values():
        for container in template["spec"]["containers"]:
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container[name]
                if "httpGet" in probe:
                    assert port_number(probe["httpGet"]["port"], container) == 52365
                else:
                    assert (ROOT / "deploy" / "image" / probe["exec"]["command"][0]).is_file()
            start, live = container["startupProbe"], container["livenessProbe"]
            assert start["periodSeconds"] * start["failureThreshold"] >= 120
            assert live["periodSeconds"] * live["failureThreshold"] >= 60


def test_services_find_their_pods(nodes, documents):
    for service in of_kind(documents, "Service"):
        assert chosen({"matchLabels": service["spec"]["selector"]}, nodes) == ["service"]
        for port in service["spec"]["ports"]:
            assert port_number(port["targetPort"], nodes["service"]["spec"]["containers"][0]) == port["port"]


def test_the_service_is_started_as_it_is_described(nodes, documents):
    arguments = serve_options(nodes["service"])
    assert set(arguments) <= {option for parameter in serve.params for option in parameter.opts}
    (service,) = of_kind(documents, "Service")
    container = nodes["service"]["spec"]["containers"][0]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert arguments["--address"] == f"0.0.0.0:{ports['grpc']}"
    assert arguments["--metrics-address"] == f"0.0.0.0:{ports['http-metrics']}"
    assert ports == {"grpc": 50051, "http-metrics": 9095}
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["RAYDIENT_ADDRESS"] == f"localhost:{ports['grpc']}"
    assert environment.get("RAYDIENT_TLS_CA") == arguments.get("--tls-certificate")
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    for file in ("--state", "--tls-certificate", "--tls-key", "--tokens-file"):
        assert file not in arguments or str(Path(arguments[file]).parent) in mounted
    assert nodes["service"]["spec"]["terminationGracePeriodSeconds"] >= 30


def test_only_the_overlay_for_a_try_does_without_tls_and_tokens(rendered, documents, nodes):
    protected = {"--tls-certificate", "--tls-key", "--tokens-file"} <= set(serve_options(nodes["service"]))
    assert protected == (documents is not rendered("overlays/dev"))


def test_the_service_and_the_head_have_no_slots(documents, nodes):
    (cluster,) = of_kind(documents, "RayCluster")
    service, workers = cluster["spec"]["workerGroupSpecs"]
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert service["groupName"] == "service"
    assert service["replicas"] == service["minReplicas"] == service["maxReplicas"] == 1
    arguments = options(nodes["service"]["spec"]["containers"][0]["args"])
    assert arguments["--num-cpus"] == service["rayStartParams"]["num-cpus"] == "0"
    assert arguments["--address"].startswith("0.0.0.0"), "the later one is the service's"
    assert f"--address={cluster['metadata']['name']}-head-svc:6379" in nodes["service"]["spec"]["containers"][0]["args"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1"
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def test_the_budget_is_one_that_a_cluster_can_reckon(nodes, documents):
    (budget,) = of_kind(documents, "PodDisruptionBudget")
    assert chosen(budget["spec"]["selector"], nodes) == ["workers"]
    assert isinstance(budget["spec"]["minAvailable"], int), "KubeRay's pods have no controller with a scale"


def test_nothing_may_connect_but_what_has_to(nodes, documents, rendered):
    policies = of_kind(documents, "NetworkPolicy")
    labels = {group: template["metadata"]["labels"] for group, template in nodes.items()}
    monitored, dev = (documents is rendered(f"overlays/{name}") for name in ("monitoring", "dev"))
    prometheus = ({"kubernetes.io/metadata.name": "monitoring"}, None)
    client = ({"kubernetes.io/metadata.name": "science", "raydient-clients": "allowed"}, None)
    stranger = ({"kubernetes.io/metadata.name": "default"}, None)
    neighbour = ({"kubernetes.io/metadata.name": "raydient"}, {"app": "other"})
    for group, target in labels.items():
        for port in (6379, 8080, 8265, 9095, 10001, 50051, 52365):
            reaches = {
                name: may_connect(policies, source, target, port)
                for name, source in (("prometheus", prometheus), ("client", client), ("stranger", stranger))
            }
            assert reaches["prometheus"] == (monitored and port in (8080, 9095)), (group, port)
            assert reaches["client"] == (not dev and group == "service" and port == 50051), (group, port)
            assert not reaches["stranger"]
            assert not may_connect(policies, neighbour, target, port)
            assert all(may_connect(policies, (neighbour[0], node), target, port) for node in labels.values())


def test_nothing_may_be_called_from_inside_but_nodes_and_names(documents):
    policies = [p["spec"] for p in of_kind(documents, "NetworkPolicy") if "Egress" in p["spec"]["policyTypes"]]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    rules = [rule for policy in policies for rule in policy.get("egress", [])]
    assert len(rules) == 2
    assert {"to": [{"podSelector": {"matchLabels": {"ray.io/cluster": "raydient"}}}]} in rules
    assert all("ports" not in rule or {port["port"] for port in rule["ports"]} == {53} for rule in rules)


def test_monitors_find_their_ports(rendered):
    documents = rendered("overlays/monitoring")
    (service_monitor,), (pod_monitor,) = of_kind(documents, "ServiceMonitor"), of_kind(documents, "PodMonitor")
    (service,) = of_kind(documents, "Service")
    assert service_monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["name"] == "raydient", "the scrape job's name, which rules ask for"
    (endpoint,) = service_monitor["spec"]["endpoints"]
    assert "honorLabels" not in endpoint
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    from_nodes = pod_monitor["spec"]["podMetricsEndpoints"]
    assert [port["port"] for port in from_nodes] == ["metrics"]


def test_every_node_tells_rays_own_metrics(nodes):
    for template in nodes.values():
        assert port_number("metrics", template["spec"]["containers"][0]) == 8080


def test_every_dashboard_is_there(rendered):
    (shipped,) = of_kind(rendered("overlays/monitoring"), "ConfigMap")
    folder = ROOT / "deploy" / "grafana" / "dashboards"
    assert shipped["data"] == {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert sum(map(len, shipped["data"].values())) < 1 << 20, "more than a ConfigMap holds"


def test_one_image_and_one_ray(nodes, documents, compose):
    (ray,) = re.findall(r"^ARG RAY_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    (cluster,) = of_kind(documents, "RayCluster")
    assert cluster["spec"]["rayVersion"] == ray
    image = f"raydient:{VERSION}"
    assert {c["image"] for template in nodes.values() for c in containers(template["spec"])} == {image}
    assert {compose["services"][name]["image"] for name in ("credentials", "raydient", "worker")} == {image}


def test_files_in_the_folder_are_all_used():
    for kustomization in (ROOT / "deploy" / "kubernetes").rglob("kustomization.yaml"):
        resources = yaml.safe_load(kustomization.read_text(encoding="utf-8"))["resources"]
        beside = {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert beside == {name for name in resources if name.endswith(".yaml")}


@pytest.mark.parametrize("group", ["headgroup", "service", "workers"])
def test_every_overlay_has_the_same_groups(nodes, group):
    assert group in nodes
