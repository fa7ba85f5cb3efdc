"""The processes of a job in one process: a clock that jumps, one coroutine at a time, and one source of chance.

A simulated process is a greenlet, which runs until it waits in its network. The world then takes the next event from
its queue: the arrival of a frame, the end of a wait, a fault. Times and choices come from one seed, so a run can be
repeated. No socket is opened, and nothing sleeps.
"""

import heapq
import itertools
import math
import random
from collections import deque

from greenlet import GreenletExit, getcurrent, greenlet

from raydient.wire.frames import ProtocolError

from .network import Network

DELAY_SECONDS = 0.0001, 0.005
"""Shortest and longest time that a frame travels."""


def _never():
    return False


class Endless(AssertionError):
    """The world has had more events than it may have."""


class Process:
    """A simulated process; it satisfies `clusters.cluster.Process`.

    Attributes:
        frozen: stopped by a signal; it goes on with `thaw`.
        pace: longest time that passes wherever the process looks at its clock or sends; 0: none.
        siblings: processes that are killed, frozen and thawed together with this one, as the threads of a process.
    """

    def __init__(self, world, name, main):
        self.name, self.network = name, Network(world, self)
        self.frozen, self.pace, self.siblings = False, 0.0, []
        self.result = None
        self._world, self._main, self._status = world, main, None
        self._greenlet = greenlet(self._run, world.loop)
        self._ready, self._deadline, self._wakes = (lambda: True), math.inf, False
        self._alarm = math.inf  # time of the next timer of this process

    @property
    def is_over(self):
        return self._status is not None

    @property
    def runs(self):
        return getcurrent() is self._greenlet

    def waiting(self):
        return False

    def ended(self):
        return self._status

    def detach(self):
        raise NotImplementedError

    def end(self, status="killed by SIGKILL"):
        """End the process where it stands, without its cooperation; its connections end with it."""
        if self._status is None:
            self._world.note(self.name, status)
            self._status = status
            self.network.close()
            for sibling in self.siblings:
                sibling.end(status)

    def kill(self):
        """End the process; one that is cut off ends when it can be reached again."""
        until = self._world.cut_off_until(self.name, "coordinator")
        if until > self._world.now:
            self._world.at(until, self.end)
        else:
            self.end()

    def freeze(self):
        self.frozen = True
        for sibling in self.siblings:
            sibling.frozen = True

    def thaw(self):
        for process in (self, *self.siblings):
            process.frozen = False
            self._world.at(self._world.now, process.wake)

    def wait(self, ready, deadline):
        """Let other processes run until `ready` or the deadline. Called by the process itself."""
        if self._world.over:
            raise GreenletExit
        if ready():
            return
        self._ready, self._deadline = ready, deadline
        self._set_alarm()
        self._world.loop.switch()
        self._ready, self._deadline = None, math.inf

    def breathe(self):
        """Let time pass at a place at which the operating system may suspend the process."""
        if self.pace and self.runs:
            world = self._world
            until = world.now + world.random.random() * self.pace
            if world.is_quiet(until):
                world.now = until  # nothing else would run meanwhile
            else:
                self.wait(_never, until)

    def _set_alarm(self):
        """Make sure that a timer ends the wait; one that is due earlier sets the next one, so few are in the queue."""
        if self._deadline < self._alarm:
            self._alarm = self._deadline
            self._world.at(self._deadline, self._ring)

    def _ring(self):
        if self._world.now < self._alarm or self.is_over:
            return
        self._alarm = math.inf
        if self._world.now < self._deadline:
            self._set_alarm()
        else:
            self.wake()

    def stop_here(self):
        """Never return to the process, which has ended. Called by the process itself."""
        self._world.loop.switch()
        raise GreenletExit

    def wake(self):
        """Run on if the process waits for something that has happened."""
        if self._ready is None or self._wakes or self.frozen or self.is_over:
            return
        if self._world.now >= self._deadline or self._ready():
            self._wakes = True
            if lag := self._world.lag():
                self._world.at(self._world.now + lag, self._switch)
            else:
                self._world.ready.append(self._switch)

    def release(self):
        """Free the memory of a process that has ended or was killed."""
        if not self._greenlet.dead:
            self._greenlet.throw(GreenletExit)

    def _switch(self):
        self._wakes = False
        if not self.frozen and not self.is_over:
            self._greenlet.switch()

    def _run(self):
        status = "ended with status 0"
        try:
            self.result = self._main(self.network)
        except ProtocolError as error:  # the processes here follow it
            self.error, status = error, f"ended with {error}"
        except OSError as error:
            status = f"ended with {type(error).__name__}: {error}"
        except GreenletExit:
            return
        except BaseException as error:
            self._world.failures.append(error)
            status = f"ended with {type(error).__name__}"
        self.end(status)


class World:
    """Processes, the frames on their way and the time.

    Attributes:
        now: seconds.
        random: the source of every choice.
        events: number of events so far.
        observers: called with the sending end of the connection and the frame when a frame arrives.
        after: called after each event.
        trace: time, name and text of what has happened.
        lost: returns True for a frame, by its connection and header, that is lost and ends its connection; None: none.
        local: all processes run on one node and share memory.
        over: no process may run any more.
        failures: errors that have ended processes, other than those of their connections and files.
    """

    def __init__(self, seed, *, local=False, delay_seconds=DELAY_SECONDS, lag_seconds=0.0):
        self.now, self.events, self.random = 0.0, 0, random.Random(seed)
        self.loop, self.over, self.local = getcurrent(), False, local
        self.observers, self.after, self.trace, self.lost = [], [], [], None
        self.listeners, self.processes, self.connections, self.failures = {}, [], [], []
        self.ready = deque()  # what happens next, at this time
        self._delay, self._lag = delay_seconds, lag_seconds
        self._numbers, self._queue = itertools.count(), []
        self._partitions = {}  # names of two processes, and the time at which frames pass again

    def start(self, name, main, after_seconds=0.0):
        """Start a process that runs `main(network)`."""
        process = Process(self, name, main)
        self.processes.append(process)
        self.note(name, "starts")
        self.at(self.now + after_seconds, process.wake)
        return process

    def living(self, prefix=""):
        """Return the processes that have not ended whose name begins with `prefix`."""
        return [process for process in self.processes if not process.is_over and process.name.startswith(prefix)]

    def current(self):
        """Return the process that runs now."""
        return next(process for process in reversed(self.processes) if process.runs)

    def at(self, seconds, action):
        """Call `action` at a time, between two turns of processes."""
        heapq.heappush(self._queue, (seconds, next(self._numbers), action))

    def after_seconds(self, seconds, action):
        """Call `action` after this time."""
        self.at(self.now + seconds, action)

    def note(self, name, text):
        """Add a line to the trace. `text` may be a function that returns the line's text."""
        self.trace.append((self.events, self.now, name, text))

    def lines(self):
        """Return the trace as text, a line for each entry."""
        return [
            f"{number:6d} {seconds:10.5f}  {name:20s} {text() if callable(text) else text}"
            for number, seconds, name, text in self.trace
        ]

    def delay(self):
        shortest, longest = self._delay
        return shortest + (longest - shortest) * self.random.random()

    def lag(self):
        """Return the time from an event to the turn of the process that waits for it."""
        return self._lag * self.random.random() if self._lag else 0.0

    def is_quiet(self, seconds):
        """Return True if no event comes before this time."""
        return not self.ready and (not self._queue or self._queue[0][0] > seconds)

    def partition(self, a, b, seconds):
        """Hold all frames between two processes, both ways, for this time."""
        key = frozenset((a, b))
        until = self._partitions[key] = max(self._partitions.get(key, 0.0), self.now + seconds)
        if until < math.inf:
            self.at(until, lambda: self._flush(key))

    def heal(self, a, b):
        """End a partition."""
        key = frozenset((a, b))
        self._partitions.pop(key, None)
        self._flush(key)

    def cut_off_until(self, a, b):
        """Return the time until which two processes cannot reach each other; 0 if they can."""
        return self._partitions.get(frozenset((a, b)), 0.0) if self._partitions else 0.0

    def _flush(self, key):
        for connection in list(self.connections):
            if key == frozenset((connection.owner.name, connection.peer.owner.name)):
                connection.heal()

    def turn(self, limit):
        """Handle the next event. Raises Endless after `limit` events, and the error of a process that had one."""
        if self.ready:
            action = self.ready.popleft()
        else:
            assert self._queue, "every process waits for ever"
            self.now, _, action = heapq.heappop(self._queue)
        self.events += 1
        if self.events > limit:
            raise Endless(f"no end after {limit} events, at {self.now:.1f} s")
        action()
        for look in self.after:
            look()

    def run(self, main_process, limit=200_000):
        """Handle events until a process has ended; returns what it returns."""
        while not main_process.is_over:
            self.turn(limit)
            if self.failures:
                raise self.failures[0]
        return main_process.result

    def close(self):
        """End all processes, and free their memory."""
        self.over = True
        for process in self.processes:
            process.end()
        for process in self.processes:
            process.release()
        self._queue.clear()
        self.ready.clear()
