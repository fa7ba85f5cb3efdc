"""Prometheus metrics: a collector over jobs that run or ended recently, and the duration of API calls.

The collector follows the events of jobs, so a scrape waits neither for the store nor for a cluster. A job's series
vanish some minutes after its end; no series has the id of a worker as a label.
"""

from .collector import LINGER_SECONDS, JobCollector
from .exporter import Exporter

__all__ = ["LINGER_SECONDS", "Exporter", "JobCollector"]
