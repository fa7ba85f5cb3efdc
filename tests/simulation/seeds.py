"""Faults drawn from a seed, and the runs of many seeds."""

import random
import traceback
from dataclasses import dataclass

from raydient.wire import control

from .job import Job
from .twin import small_pieces, tiny_twin

BOUND = 20_000
"""Events within which a job ends after its last fault."""
FIRST_EVENTS = 600
"""Faults begin within this number of events: about as many as a job without faults has."""
OPTIMIZERS = "adam", "sgd", "scaled"
MODELS = "synchronous", "asynchronous", "bounded_staleness"
STALE = "asynchronous", 1, 2, 8
"""Consistencies of stale jobs: the name, or the limit of the staleness."""
GUARDS = None, None, (), ("lower_limit", "reduce_rate"), ("reduce_rate",)
"""Safeguards of stale jobs: the answers that they lack; None: no safeguard."""
CODECS = "none", "none", "float16", "bfloat16", "int8"


@dataclass(frozen=True)
class Fault:
    """A fault of a kind at an event, with two numbers that choose what it meets, and its duration."""

    event: int
    kind: str
    first: int
    second: int
    seconds: float

    def __str__(self):
        return f"{self.kind} ({self.first}, {self.second}) for {self.seconds:.4f} s"


def choose(processes, number):
    """Return one of these processes; None if there is none."""
    return processes[number % len(processes)] if processes else None


def members(world):
    """Return the living processes, without their lifelines."""
    return [process for process in world.living() if not process.name.endswith("lifeline")]


def kill_worker(job, fault):
    """A worker is killed."""
    victim = choose([p for p in members(job.world) if p.name.startswith("worker")], fault.first)
    if victim is not None:
        victim.end()


def kill_server(job, fault):
    """A parameter server is killed."""
    victim = choose([p for p in members(job.world) if p.name.startswith("server")], fault.first)
    if victim is not None:
        victim.end()


def kill_coordinator(job, fault):
    """The coordinator or its machine ends, and comes back."""
    job.disk.end_user(fault.first)


def kill_coordinator_at_disk(job, fault):
    """The same between two operations of the coordinator on its files, as in the middle of a checkpoint."""
    job.disk.end_user_in(1 + fault.second % 64, fault.first)


def disk_fails(job, fault):
    """Operations on the coordinator's disk fail for a while, all or some of them."""
    job.disk.fail((0.1, 0.5, 1.0)[fault.first % 3], fault.seconds)


def disk_full(job, fault):
    """The coordinator's disk is full, or nearly, and gets room again after a while."""
    job.disk.fill(fault.first % 8192 if fault.second % 2 else 0)
    job.world.after_seconds(fault.seconds, job.disk.make_room)


def freeze(job, fault):
    """A process is stopped, and resumed after a while."""
    victim = choose(members(job.world), fault.first)
    if victim is not None:
        victim.freeze()
        job.world.after_seconds(fault.seconds, victim.thaw)


def slow_down(job, fault):
    """A process becomes slow."""
    victim = choose(members(job.world), fault.first)
    if victim is not None:
        victim.pace = fault.seconds / 50


def cut(job, fault):
    """A connection ends, and loses frames that are on their way."""
    open_ones = [c for c in job.world.connections if not c.is_closed and not c.peer.is_closed]
    connection = choose(open_ones, fault.first)
    if connection is not None:
        connection.cut(fault.second % 4)


def part(job, fault):
    """Two processes cannot reach each other for a while."""
    processes = members(job.world)
    if len(processes) > 1:
        a = processes.pop(fault.first % len(processes))
        b = choose(processes, fault.second)
        job.world.partition(a.name, b.name, fault.seconds)


def isolate(job, fault):
    """A process cannot reach any other one for a while."""
    lone = choose(members(job.world), fault.first)
    for process in job.world.living() if lone is not None else ():
        if process is not lone:
            job.world.partition(lone.name, process.name, fault.seconds)
            for lifeline in lone.siblings:
                job.world.partition(lifeline.name, process.name, fault.seconds)


def stop(job, fault):
    """A process stops for good; the operator ends a coordinator that has stopped."""
    victim = choose(members(job.world), fault.first)
    if victim is not None:
        victim.freeze()
        if victim.name == "coordinator":
            job.world.after_seconds(fault.seconds, victim.end)


def repeat(job, fault):
    """A worker sends its last push twice."""
    connection = choose([c for c in job.world.connections if c.has_pushed and not c.is_closed], fault.first)
    if connection is not None:
        connection.repeat()


def scale(job, fault):
    """The number of workers changes, often while a round is open."""
    job.orders.append(control.Scale(1 + fault.first % 4, 1))


def pause(job, fault):
    """The job pauses; the operator resumes it."""
    job.orders.append(control.Command(control.Order.PAUSE))


def amend(job, fault):
    """The service accepts an amendment: of the rate, of the clipping, of the end or of the consistency."""
    kind = job.twin.prepared.spec.training.optimizer.kind
    choices = (
        {f"training.optimizer.{kind}.learning_rate": 0.5 ** (fault.second % 8)},
        {"training.clipping.global_norm.limit": 0.5, "training.max_steps": 4 + fault.second % 8},
        {"training.clipping.values.limit": 0.01},
        {"training.clipping": None, "training.epochs": 1 + fault.second % 4},
        {"training.epochs": 4, "training.max_steps": None},
    )
    if job.twin.prepared.spec.training.consistency.is_stale and fault.second % 3 == 0:
        guarded = [{model: {"safeguard": {"loss_factor": 1.001}}} for model in MODELS[1:]]
        choices = [{"training.consistency": model} for model in (*({model: {}} for model in MODELS), *guarded)]
    job.amend(choices[fault.first % len(choices)])


FAULTS = (
    *(kill_worker, kill_server, kill_coordinator, kill_coordinator_at_disk, disk_fails, disk_full),
    *(freeze, stop, slow_down, cut, part, isolate, repeat, scale, pause, amend),
)
ORDERS = scale, pause, amend
"""Faults that are orders of the operator: no member may be lost because of them."""
BY_NAME = {fault.__name__: fault for fault in FAULTS}


def model_of(seed):
    """Return consistency, safeguard and codec of a job, see `tiny_twin`.

    A fifth of the jobs is stale, some of them with a safeguard, and those without a table with a codec. A fifth makes
    local steps. A third of the synchronous ones without a table has the codec with residuals.
    """
    if seed % 5 == 2:
        chance = random.Random(f"model {seed}")
        model = {"consistency": chance.choice(STALE), "guard": chance.choice(GUARDS)}
        return model if has_table(seed) else model | {"codec": chance.choice(CODECS)}
    if seed % 8 in (5, 7):
        return {"consistency": "local"}
    feeds_back = seed % 3 == 0 and not has_table(seed)
    return {"consistency": "synchronous", "codec": "top_k" if feeds_back else "none"}


def has_table(seed):
    """Return True if a job has a table: a fourth of them."""
    return seed % 4 == 3


def optimizer_of(seed, drawn):
    """Return the optimizer of a job: that of a table is row-wise Adagrad in place of SGD."""
    return "rowwise_adagrad" if drawn == "sgd" and has_table(seed) else drawn


def draw(seed):
    """Return a job in a world and its faults, all drawn from a seed."""
    chance = random.Random(seed)
    job = Job(
        seed,
        tiny_twin(
            optimizer_of(seed, chance.choice(OPTIMIZERS)),
            chance.choice((1, 1, 2, 3)),
            table=has_table(seed),
            **model_of(seed),
        ).amendable(),
        workers=chance.randint(1, 3),
        late_seconds=chance.choice((0.0, 0.0, 0.05, 2.0)),
        paces=chance.choice(((0.0,), (0.0, 0.002), (0.0005,))),
        local=chance.random() < 0.5,
        delay_seconds=chance.choice(((1e-4, 5e-3), (1e-5, 1e-4), (1e-3, 5e-2))),
        lag_seconds=chance.choice((0.0, 1e-3)),
    )
    number = chance.choice((0, 1, 1, 2, 2, 3, 4, 6))
    faults = [
        Fault(
            chance.randint(1, FIRST_EVENTS),
            chance.choice(list(BY_NAME)),
            chance.getrandbits(16),
            chance.getrandbits(16),
            10 ** chance.uniform(-3, 0.9),
        )
        for _ in range(number)
    ]
    return job, sorted(faults, key=lambda fault: fault.event)


@dataclass(frozen=True)
class Run:
    """The result of a seed: the problem, which is empty if there is none, and the trace."""

    seed: int
    problem: str
    trace: list[str]
    events: int

    def __str__(self):
        return f"python -m tests.simulation {self.seed}    # {self.problem}"


def run_seed(seed, *, traced=False):
    """Run a job with the faults of a seed. The trace is empty unless there is a problem, or it is `traced`."""
    with small_pieces(model_of(seed).get("codec", "none")):
        return _run_seed(seed, traced=traced)


def _run_seed(seed, *, traced):
    job, faults = draw(seed)
    world, waiting = job.world, list(faults)

    def strike():
        while waiting and waiting[0].event <= world.events:
            fault = waiting.pop(0)
            world.note("fault", str(fault))
            job.invariants.undisturbed &= BY_NAME[fault.kind] in ORDERS
            BY_NAME[fault.kind](job, fault)

    world.after.append(strike)
    problem = ""
    try:
        job.run(limit=max([fault.event for fault in faults], default=0) + BOUND)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({where.filename.rpartition('/')[2]}:{where.lineno})"
        world.note("problem", problem)
    trace = world.lines() if traced or problem else []
    job.close()
    return Run(seed, problem, trace, world.events)


def first_failure(seeds):
    """Return the run of the first seed that has a problem; None if there is none."""
    return next((run for run in map(run_seed, seeds) if run.problem), None)
