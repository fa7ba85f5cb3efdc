"""The dashboard *Service*: what runs, what waits, and how calls are answered."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from .frame import SERVICE, frame, section
from .job import STATES
from .panels import bars, lines, number, stacked, stairs, tile
from .queries import per_second, quantile, quantiles, query, series
from .tables import alerts, jobs

BUT_WATCHING = 'method!~".*/Watch.*"'
FAULTS = (('code=~"DATA_LOSS|INTERNAL|UNAVAILABLE|UNKNOWN"',), ('code="RESOURCE_EXHAUSTED"', BUT_WATCHING))
"""Calls that the service could not answer, as in the alert RaydientApiErrors; other errors are the client's."""


def service() -> Dashboard:
    """Return the dashboard of all scraped services, or of the chosen ones."""
    about = "The service: jobs, queue, worker slots, calls. A job's name in the table leads to its own dashboard."
    dashboard = frame(SERVICE, about, period="1h")
    for title, panels in {"Now": _now(), "Jobs": _jobs(), "Calls": _calls(), "Process": _process()}.items():
        dashboard = section(dashboard, title, panels)
    return dashboard


def _now() -> list[Builder[Panel]]:
    oldest = f"time() - {series('raydient_queue_oldest_timestamp_seconds')}"
    held, total = (f"sum({series('raydient_worker_slots', state=state)})" for state in ("held", "total"))
    answered = f"sum({per_second('raydient_rpc_seconds_count')})"
    faulty = " or ".join(per_second("raydient_rpc_seconds_count", *matchers) for matchers in FAULTS)
    faults = f"(sum({faulty}) or vector(0)) / {answered}"
    return [
        tile(
            number(
                *("Services", "Services that answer Prometheus.", "none", f"sum({series('up')})"),
                steps=[(None, "red"), (1, "green")],
            )
        ),
        number("Running", "Jobs that run.", "none", f"sum({series('raydient_jobs', state='running')})"),
        number("Waiting", "Jobs that wait for room.", "none", f"sum({series('raydient_queue_length')})"),
        number(
            *("Longest wait", "Since the oldest job in the queue was accepted.", "s", f"max({oldest})"),
            steps=[(None, "green"), (300, "yellow"), (900, "red")],
            nothing="nothing waits",
            now=True,
        ),
        number(
            *("Slots held", "Share of the worker slots that jobs hold.", "percentunit", f"{held} / {total}"),
            steps=[(None, "green"), (0.9, "yellow")],
        ),
        number(
            *("Failed", "Failed jobs in the store.", "none", f"sum({series('raydient_jobs', state='failed')})"),
            steps=[(None, "green"), (1, "yellow")],
        ),
        number("Calls", "Answered a second.", "reqps", answered).decimals(1),
        tile(
            number(
                *("Faults", "Share of the calls that ended by a fault of the service.", "percentunit", faults),
                steps=[(None, "green"), (0.01, "yellow"), (0.05, "red")],
                nothing="no calls",
            )
        ),
    ]


def _jobs() -> list[Builder[Panel]]:
    unfinished = series("raydient_jobs", 'state=~"queued|starting|running|paused|cancelling"')
    ended = series("raydient_jobs", 'state=~"succeeded|failed|cancelled"')
    return [
        jobs(width=16, height=8),
        alerts(width=8, height=8),
        stacked(
            lines(
                *("Jobs by state", "Jobs that have not ended.", "none"),
                [query(f"sum by (state) ({unfinished})", "{{state}}")],
                width=8,
                colors=STATES,
            )
        ).decimals(0),
        stairs(
            lines(
                *("Jobs that ended", "Ended jobs in the store, by how they ended.", "none"),
                [query(f"sum by (state) ({ended})", "{{state}}")],
                width=8,
                colors=STATES,
            )
        ),
        stairs(
            lines(
                *(
                    "Worker slots",
                    "A slot is a worker process: the number of slots, and how many of them jobs hold.",
                    "none",
                ),
                [query(f"sum by (state) ({series('raydient_worker_slots')})", "{{state}}")],
                width=8,
                colors={"total": "blue", "held": "green"},
            )
        ),
        stairs(
            lines(
                *("Queue", "Jobs that wait for room.", "none"),
                [query(f"sum({series('raydient_queue_length')})", "waiting")],
                colors={"waiting": "yellow"},
            )
        ),
        lines(
            *("Wait", "From acceptance to start, of the jobs that were started.", "s"),
            quantiles("raydient_queue_wait_seconds"),
        ).min(0),
    ]


def _calls() -> list[Builder[Panel]]:
    count = "raydient_rpc_seconds_count"
    refused = per_second(count, 'code!="OK"')
    slow = quantile(0.95, "raydient_rpc_seconds", BUT_WATCHING, by="le, method")
    return [
        lines(
            *("Calls by method", "Answered a second.", "reqps"),
            [query(_short(f"sum by (method) ({per_second(count)})"), "{{call}}")],
        ).min(0),
        bars(
            lines(
                *("Calls not answered with OK", "A second, by status code.", "reqps"),
                [query(f"sum by (code) ({refused})", "{{code}}")],
            )
        ),
        lines(
            *("Time to answer", "All calls except watching, which lasts as long as a client watches.", "s"),
            quantiles("raydient_rpc_seconds", BUT_WATCHING),
        ).min(0),
        lines(
            *("Time to answer, by method", "95 % are answered sooner.", "s"),
            [query(_short(slow), "{{call}}")],
        ).min(0),
    ]


def _short(expression: str) -> str:
    """Return the expression with the method's bare name in the label `call`."""
    return f'label_replace({expression}, "call", "$1", "method", ".*/(.+)")'


def _process() -> list[Builder[Panel]]:
    return [
        lines(
            *("Processor", "Cores that the service itself keeps busy; jobs run in processes of their own.", "none"),
            [query(per_second("process_cpu_seconds_total"), "{{instance}}")],
            width=8,
        ).min(0),
        lines(
            *("Memory", "Resident memory of the service itself.", "bytes"),
            [query(series("process_resident_memory_bytes"), "{{instance}}")],
            width=8,
        ).min(0),
        lines(
            *("Open files", "Descriptors that the service has open, sockets included.", "none"),
            [query(series("process_open_fds"), "{{instance}}")],
            width=8,
        ).min(0),
    ]
