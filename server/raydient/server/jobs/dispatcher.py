"""Starts queued jobs on the cluster, records their runs in the store, and stops them."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import UTC, datetime

from raydient.server.errors import Conflict, Exhausted, NotAllowed, NotFound, ServiceError, Unavailable, Unreadable
from raydient.server.training.failures import pause_seconds
from raydient.server.training.runs import Run, Runner, RunRequest
from raydient.spec.errors import InvalidSpec

from . import lifecycle
from .lifecycle import Update
from .recorder import RunRecorder
from .records import FieldChange, Job
from .scheduler import Scheduler
from .states import State
from .store import JobStore

log = logging.getLogger(__name__)

JOIN_SECONDS = 15.0
"""Time that the processes of a run may take to end after its last report before their slots are given to others."""
SLOTS_SECONDS = 1.0
"""Interval between checks of the cluster's size."""
RETRY_SECONDS = 1.0
"""Pause before another attempt to store a report, for example when the disk is full."""


class Dispatcher:
    """The thread-safe shell around `Scheduler`. Slow calls run on a few threads of its own, without the lock.

    `request` builds the run request of a job for a number of workers; it raises ServiceError or InvalidSpec if the job
    can no longer run. `observe_slots` receives the numbers of worker slots that exist and that are held; it must not
    block.
    """

    def __init__(
        self,
        store: JobStore,
        runner: Runner,
        request: Callable[[Job, int], RunRequest],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        observe_slots: Callable[[int, int], None] = lambda total, held: None,
    ) -> None:
        self._store = store
        self._runner = runner
        self._request = request
        self._clock = clock
        self._observe_slots = observe_slots
        self._scheduler = Scheduler(reserves=runner.reserves)
        self._runs: dict[str, Run] = {}
        self._resumed: dict[str, Job] = {}  # resumed jobs of which processes of the last run have not ended yet
        self._afterwards: dict[str, Callable[[], None]] = {}
        self._changed = threading.Condition()
        self._draining = self._detaching = False
        self._closed = threading.Event()
        self._starting = threading.Lock()  # a runner starts one run at a time
        self._scaling = threading.Lock()  # runs receive allotments and updates in the order in which these were made
        self._pool = ThreadPoolExecutor(8, "jobs")
        self._watch = threading.Thread(target=self._watch_slots, name="slots", daemon=True)

    @property
    def slots(self) -> int:
        """Number of worker processes that the cluster can hold."""
        return self._runner.slots

    @property
    def waiting(self) -> int:
        """Length of the queue."""
        with self._changed:
            return self._scheduler.waiting

    def position(self, job_id: str) -> int:
        """The job's place in the queue, from 1; 0 if it does not wait."""
        with self._changed:
            return self._scheduler.position(job_id)

    def recover(self) -> None:
        """Attach to the runs of an earlier server, and queue its waiting jobs. Call this first."""
        for job in self._store.unfinished():
            current = self._attach(job) if job.state.running else job
            if current.state is State.QUEUED:
                with self._changed:
                    self._enqueue(current)
        self._start_what_fits()
        self._watch.start()

    def submit(self, job: Job) -> None:
        """Queue a stored job."""
        with self._changed:
            self._enqueue(job)
        self._start_what_fits()

    def cancel(self, job_id: str) -> Job:
        """Cancel a job. Harmless when repeated. Raises NotFound, NotAllowed."""
        job = self._store.update(job_id, lambda job: lifecycle.cancel(job, self._clock()))
        with self._changed:
            self._scheduler.withdraw(job_id)
            self._resumed.pop(job_id, None)
            run = self._runs.get(job_id)
        if run is not None and job.state is State.CANCELLING:
            run.cancel()
        self._start_what_fits()  # other jobs may have waited for this one
        return job

    def scale(self, job_id: str, workers: int) -> Job:
        """Change the number of a job's workers, as soon as there is room. Raises NotFound, NotAllowed."""
        job = self._store.update(job_id, lambda job: lifecycle.scale(job, workers))
        with self._changed:
            self._scheduler.resize(job_id, job.workers)
            if job_id in self._resumed:
                self._resumed[job_id] = job
        self._send_allotment(job_id)
        self._start_what_fits()
        return job

    def amend(self, job_id: str, changes: Sequence[FieldChange], known: int) -> Job:
        """Update a job's specification after `known` updates. Raises NotFound, NotAllowed, Conflict, Exhausted."""
        job = self._store.update(job_id, lambda job: lifecycle.amend(job, changes, known, self._clock()))
        self._send_updates(job)
        return job

    def pause(self, job_id: str) -> Job:
        """End a job's run with a checkpoint and leave the job PAUSED. Raises NotFound, NotAllowed."""
        job = self._store.update(job_id, lifecycle.pause)
        with self._changed:
            run = self._runs.get(job_id)
        if run is not None and job.pausing:
            run.pause()
        return job

    def resume(self, job_id: str) -> Job:
        """Queue a job that is paused, or failed for a reason outside itself. Raises NotFound, NotAllowed."""
        job = self._store.update(job_id, lambda job: lifecycle.resume(job, self._clock()))
        with self._changed:
            if self._scheduler.allotment(job_id) is not None:
                self._resumed[job_id] = job
            else:
                self._enqueue(job)
        self._start_what_fits()
        return job

    def when_stopped(self, job_id: str, action: Callable[[], None]) -> None:
        """Call `action` once the job has no process: now, or later on another thread."""
        with self._changed:
            if job_id in self._runs:
                self._afterwards[job_id] = action
                return
        action()

    def close(self, grace_seconds: float, *, stop_jobs: bool = True) -> bool:
        """Stop starting runs, and end or detach all runs; False if some have not ended in time. Harmless when repeated.

        Runs are paused: they take a checkpoint, and their jobs stay QUEUED in the store. Without `stop_jobs`, runs
        on a cluster that allows it go on; their jobs stay RUNNING and the next service attaches to them.
        """
        if self._closed.is_set():
            return self._scheduler.idle or self._detaching
        with self._changed:
            self._draining = True
            self._detaching = self._runner.detaches and not stop_jobs
            self._scheduler.close()
            runs = list(self._runs.values())
        for run in runs:
            if self._detaching:
                run.detach()
            else:
                run.pause()
        with self._changed:
            done = self._detaching or self._changed.wait_for(lambda: self._scheduler.idle, grace_seconds)
        with self._changed:
            self._closed.set()
        if self._watch.is_alive():
            self._watch.join()
        self._pool.shutdown(wait=done, cancel_futures=True)
        return done

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        """Run `work` on the pool. Does nothing once the service has stopped; the next start takes up the job."""
        with self._changed:
            if not self._closed.is_set():
                self._pool.submit(self._guard, work, *arguments)

    def _start_what_fits(self) -> None:
        slots = self._runner.slots
        with self._changed:
            if self._draining:
                return
            for job_id, workers in self._scheduler.take(slots):
                self._later(self._start, job_id, workers)
            grown = self._scheduler.grow(slots)
            self._observe_slots(slots, self._scheduler.held)
        for job_id, _ in grown:
            self._send_allotment(job_id)

    def _watch_slots(self) -> None:
        """Check the cluster's size, because machines join and leave a cluster without an event."""
        slots = self._runner.slots
        while not self._closed.wait(SLOTS_SECONDS):
            before, slots = slots, self._runner.slots
            if slots != before:
                self._guard(self._start_what_fits)

    def _send_allotment(self, job_id: str) -> None:
        """Send the job's run its number of workers; `_adopt` does that for a run that is being started."""
        with self._scaling:
            with self._changed:
                run, allotment = self._runs.get(job_id), self._scheduler.allotment(job_id)
            if run is not None and allotment is not None:
                run.scale(allotment.slots, allotment.workers.min)

    def _send_updates(self, job: Job) -> None:
        """Send the job's run the updates that have not taken effect, in order; it ignores those that it has."""
        with self._scaling:
            with self._changed:
                run = self._runs.get(job.id)
            if run is not None:
                for amendment in (one for one in job.amendments if one.round is None):
                    run.amend(amendment)

    def _start(self, job_id: str, workers: int) -> None:
        try:
            job = None if self._draining else self.record(job_id, lambda job: lifecycle.start(job, self._clock()))
        except NotAllowed:  # cancelled since it was taken
            job = None
        if job is None:
            self._release(job_id)
            return
        if self._closed.wait(pause_seconds(0 if job.advanced else job.losses)):
            return  # the next service starts the job
        recorder = RunRecorder(self, job_id, job.run, self._clock)
        try:
            request = self._request(job, workers)
            with self._starting:
                run = self._runner.start(request, recorder)
        except (ServiceError, InvalidSpec) as error:
            reason, message = getattr(error, "reason", "INVALID_SPEC"), str(error)
            self.record(job_id, lambda job: lifecycle.move(job, State.FAILED, self._clock(), reason, message))
            recorder.run.cancel()
            self._release(job_id)
        except Exception as error:
            log.exception("jobs/%s: its coordinator could not be started", job_id)
            recorder.lose(f"it could not be started: {getattr(error, 'strerror', None) or type(error).__name__}")
            recorder.run.cancel()
            self._release(job_id)
        else:
            self._adopt(job, run, recorder, workers)

    def _attach(self, job: Job) -> Job:
        """Attach to the job's run, or record that the run has ended. Returns the job after that."""
        recorder = RunRecorder(self, job.id, job.run, self._clock)
        run = None
        try:
            if job.attachment:
                run = self._runner.attach(self._request(job, job.workers.min), job.attachment, job.report, recorder)
        except Exception:
            log.exception("jobs/%s: its coordinator could not be reached", job.id)
        if run is None:
            return self._store.update(job.id, lambda job: lifecycle.abandon(job, recorder.number, self._clock()))
        with self._changed:
            wanted = job.progress.workers_wanted if job.progress is not None else 0
            self._scheduler.occupy(job.id, job.number, job.workers, wanted)
        self._adopt(job, run, recorder, 0)
        return job

    def _adopt(self, job: Job, run: Run, recorder: RunRecorder, workers: int) -> None:
        """Register a run that was started with this number of workers, 0 if unknown."""
        with self._changed:
            self._runs[job.id] = run
            draining = self._draining
            allotment = self._scheduler.allotment(job.id)
        try:
            current = self.record(job.id, lambda job: lifecycle.attach(job, recorder.number, run.attachment))
            if current is not None:
                self._send_updates(current)
            # Deliver stop requests that arrived before the run was registered.
            if current is not None and current.state is State.CANCELLING:
                run.cancel()
            elif (draining and not self._detaching) or (current is not None and current.pausing):
                run.pause()
            elif allotment is None or (allotment.slots, allotment.workers) != (workers, job.workers):
                self._send_allotment(job.id)
            if draining and self._detaching:
                run.detach()
        finally:
            recorder.run.set_result(run)  # `_retire` may wait for it

    def retire(self, job_id: str, run: Future[Run]) -> None:
        """Handle the end of a run: when its processes have ended, release its slots and requeue the job if needed."""
        self._later(self._retire, job_id, run)

    def _retire(self, job_id: str, run: Future[Run]) -> None:
        try:
            joined = run.result().join(JOIN_SECONDS)
        except CancelledError:  # the start failed after the run had reported; `_start` handled that
            return
        if not joined:
            log.warning("jobs/%s: its processes have not gone within %g s", job_id, JOIN_SECONDS)
        self._release(job_id)

    def _release(self, job_id: str) -> None:
        job = self.record(job_id, lambda job: None)
        with self._changed:
            self._runs.pop(job_id, None)
            action = self._afterwards.pop(job_id, None)
            # In one critical section, or a younger job takes the slots. `_start` handles a cancellation in between.
            self._scheduler.release(job_id)
            job = self._resumed.pop(job_id, job)
            if job is not None and job.state is State.QUEUED:
                self._enqueue(job)
        if action is not None:
            action()
        with self._changed:
            self._changed.notify_all()
        self._start_what_fits()

    def _enqueue(self, job: Job) -> None:
        self._scheduler.enqueue(job.id, job.number, job.workers)

    @property
    def closed(self) -> bool:
        """True once reports are no longer recorded, because the store may be closed."""
        return self._closed.is_set()

    @property
    def draining(self) -> bool:
        """True if the service is stopping."""
        return self._draining

    def record(self, job_id: str, step: Callable[[Job], Update | None]) -> Job | None:
        """Change a stored job; retry until the store accepts it. Returns None if the job is deleted or unreadable."""
        while True:
            try:
                return self._store.update(job_id, step)
            except (NotFound, Unreadable):
                return None
            except (Conflict, Exhausted, Unavailable):
                if self._closed.wait(RETRY_SECONDS):
                    raise

    @staticmethod
    def _guard(work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception:
            log.exception("a job could not be handled: %s%s", work.__name__, arguments)
