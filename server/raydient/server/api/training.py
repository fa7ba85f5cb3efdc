# ruff: noqa: N802  (methods are called as the proto calls them)
"""TrainingService, as specified in training_service.proto."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from raydient.server.calls import Call
from raydient.server.errors import InvalidRequest, NotFound
from raydient.server.jobs import Job, JobFilter, JobManager, JobSummary, State, UnreadableJob
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.v1 import training_service_pb2 as pb
from raydient.v1.training_job_pb2 import TrainingJob
from raydient.v1.training_service_pb2_grpc import TrainingServiceServicer

from .messages import STATES, job_id, job_message, metric_message, read_spec
from .paging import next_page, page_size, page_start
from .updating import read_update
from .watching import Watchers

REQUEST_ID_CHARACTERS = 64
CHECKS = 4
"""Maximum number of concurrent checks of specifications; other calls need threads, too."""


class TrainingServicer(TrainingServiceServicer):
    """Creates, lists, changes and watches jobs. Blocking calls run on threads; watchers need none."""

    def __init__(self, jobs: JobManager, watchers: Watchers) -> None:
        self._jobs = jobs
        self._watchers = watchers
        self._checks = asyncio.Semaphore(CHECKS)

    async def CreateTrainingJob(self, request: pb.CreateTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        identity = request.request_id
        if len(identity) > REQUEST_ID_CHARACTERS or not (identity.isascii() and identity.isprintable()):
            rule = f"at most {REQUEST_ID_CHARACTERS} printable ASCII characters"
            raise InvalidRequest.of("request_id", rule)
        if not request.HasField("spec"):
            raise InvalidSpec([FieldError("", "a specification is required")])
        return await self._checked(self._create, request)

    async def GetTrainingJob(self, request: pb.GetTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._answer(self._jobs.store.find, request.name)

    async def ListTrainingJobs(self, request: pb.ListTrainingJobsRequest, context: Any) -> pb.ListTrainingJobsResponse:
        """See the proto."""
        return await asyncio.to_thread(self._list, request)

    async def DeleteTrainingJob(self, request: pb.DeleteTrainingJobRequest, context: Any) -> Empty:
        """See the proto."""
        try:
            await asyncio.to_thread(self._jobs.delete, job_id(request.name))
        except NotFound:
            if not request.allow_missing:
                raise
        return Empty()

    async def CancelTrainingJob(self, request: pb.CancelTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._answer(self._jobs.dispatcher.cancel, request.name)

    async def PauseTrainingJob(self, request: pb.PauseTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._answer(self._jobs.dispatcher.pause, request.name)

    async def ResumeTrainingJob(self, request: pb.ResumeTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._answer(self._jobs.dispatcher.resume, request.name)

    async def ScaleTrainingJob(self, request: pb.ScaleTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._answer(self._jobs.scale, request.name, request.workers)

    async def UpdateTrainingJob(self, request: pb.UpdateTrainingJobRequest, context: Any) -> TrainingJob:
        """See the proto."""
        return await self._checked(self._update, request)

    async def WatchTrainingJob(self, request: pb.WatchTrainingJobRequest, context: Any) -> None:
        """See the proto."""
        await self._watchers.watch(job_id(request.name), request.after_sequence, context.write)

    async def ReplayTrainingJob(
        self, request: pb.ReplayTrainingJobRequest, context: Any
    ) -> AsyncIterator[pb.ReplayTrainingJobResponse]:
        """See the proto."""
        job = await asyncio.to_thread(self._jobs.store.get, job_id(request.name))
        async for replayed in self._jobs.replays.replay(job):
            yield pb.ReplayTrainingJobResponse(
                step=replayed.step,
                steps=replayed.steps,
                digest=replayed.digest,
                recorded_digest=replayed.recorded_digest,
            )

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Any) -> pb.ListMetricsResponse:
        """See the proto."""
        size, start = page_size(request), page_start(request, int, str, str)
        job = await asyncio.to_thread(self._jobs.store.get, job_id(request.parent))
        points = await asyncio.to_thread(self._jobs.store.points, job.id, size + 1, start or (0, "", ""))
        page, token = next_page(request, points, size, metric_message, "epoch", "split", "name")
        return pb.ListMetricsResponse(metrics=page, next_page_token=token)

    async def _answer(
        self, operation: Callable[..., Job | UnreadableJob], name: str, *arguments: object
    ) -> TrainingJob:
        """Run an operation on the named job and return the job after it as a message, converted on the same thread."""
        identity = job_id(name)
        return await asyncio.to_thread(lambda: self._message(operation(identity, *arguments)))

    async def _checked(self, operation: Callable[[Any, Call], TrainingJob], request: object) -> TrainingJob:
        """Run an operation that checks a specification, with as many others at a time as may be."""
        call = Call()
        async with self._checks:
            try:
                return await asyncio.to_thread(operation, request, call)
            except asyncio.CancelledError:  # the client has disconnected, or the service stops
                call.abandon()
                raise

    # The methods below run on threads, because large specifications take long to convert.

    def _create(self, request: pb.CreateTrainingJobRequest, call: Call) -> TrainingJob:
        spec = read_spec(request.spec)
        if request.validate_only:
            return job_message(self._jobs.preview(spec, call))
        return self._message(self._jobs.create(spec, request.request_id, call))

    def _update(self, request: pb.UpdateTrainingJobRequest, call: Call) -> TrainingJob:
        identity = job_id(request.training_job.name)
        return self._message(self._jobs.update(identity, read_update(request), call))

    def _message(self, job: Job | JobSummary | UnreadableJob) -> TrainingJob:
        return job_message(job, self._jobs.dispatcher.position(job.id))

    def _list(self, request: pb.ListTrainingJobsRequest) -> pb.ListTrainingJobsResponse:
        size, start, where = page_size(request), page_start(request, int), _filter(request)
        if request.view not in pb.TrainingJobView.values():
            raise InvalidRequest.of("view", f"{request.view} is not a view")
        store, before = self._jobs.store, start[0] if start else None
        jobs: Sequence[Job | JobSummary | UnreadableJob]
        if request.view == pb.TRAINING_JOB_VIEW_BASIC:
            jobs = store.summaries(size + 1, before, where)
        else:
            jobs = store.page(size + 1, before, where)
        page, token = next_page(request, jobs, size, self._message, "number")
        return pb.ListTrainingJobsResponse(training_jobs=page, next_page_token=token)


def _filter(request: pb.ListTrainingJobsRequest) -> JobFilter:
    numbers = {number: state for state, number in STATES.items()}
    unknown = [FieldError("states", f"{state} is not a state") for state in request.states if state not in numbers]
    if unknown:
        raise InvalidRequest(unknown)
    states: frozenset[State] = frozenset(numbers[state] for state in request.states)
    return JobFilter(states, dict(request.labels))
