"""What Prometheus sees: a collector over the jobs that live or ended lately, and how long calls took.

It hears of jobs by their events, so a scrape waits neither for the store nor for a cluster. A job's series vanish some
minutes after its end; no series bears the id of a worker.
"""

from .collector import LINGER_SECONDS, JobCollector
from .exporter import Exporter

__all__ = ["LINGER_SECONDS", "Exporter", "JobCollector"]
