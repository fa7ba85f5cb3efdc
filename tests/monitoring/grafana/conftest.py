"""The committed dashboards, and the metrics that their queries may ask for."""

from pathlib import Path

import pytest
import yaml

from deploy.grafana.folder import DASHBOARDS, read
from raydient.server.metrics.exporter import RPC_SECONDS
from raydient.server.metrics.job_table import JOB, JOBS
from raydient.server.metrics.service_table import SERVICE

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules"


@pytest.fixture
def committed():
    """Every committed dashboard by its file's name, for the test to change as it likes."""
    return read(DASHBOARDS)


@pytest.fixture(scope="session")
def metrics():
    """The labels of each series by name: those of the service, of its process, and recorded ones (None: any label)."""
    process = ("up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds")
    known = dict.fromkeys(process, frozenset())
    groups = [group for path in RULES.glob("*.yml") for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    known |= {rule["record"]: None for group in groups for rule in group["rules"] if "record" in rule}
    families = [(f.name, f.kind, f.labels) for f in SERVICE] + [(f.name, f.kind, (JOB, *f.labels)) for f in JOBS]
    for name, kind, labels in [*families, (RPC_SECONDS[0], "histogram", RPC_SECONDS[2])]:
        parts = [f"{name}_{part}" for part in ("bucket", "sum", "count")] if kind == "histogram" else [name]
        known |= dict.fromkeys(parts, frozenset({*labels, "le"} if kind == "histogram" else labels))
    return {**known, "ALERTS": None}
