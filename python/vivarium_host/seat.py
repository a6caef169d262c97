"""A seat: one thread of a worker, and the request that it executes.

A request that takes too long is interrupted by an exception that the watcher raises in the thread, and that comes at any
line (``interrupt.py``). It must come neither in the worker's own code, whose frames of other requests would be lost, nor
when the thread executes the next request. So ``open`` is true only while the thread is in the application, and the two
meet like this (one thread executes at a time, so each sees what the other did first):

    the thread comes back: open = False, then looks at late      the watcher: late = now, then looks at open

If the watcher finds it open, the thread finds it late, waits at ``guard`` until the watcher is done, takes back an exception
that has not come yet, and raises it itself. If the watcher finds it closed, it does nothing.
"""

import os
import threading
from time import perf_counter_ns, thread_time_ns

from . import RequestTimeout, wire
from .shared import LEAST
from .wsgi import ClientGone

SLOW_FROM = 500_000  # nanoseconds of wall time from which the CPU time of the next request is measured
DELAY_EVERY = 16  # slow requests of a thread for which its waiting for a processor is read once
STEP = 262144  # octets of a large body sent in one frame


def open_schedstat():
    """A descriptor of the calling thread's scheduling statistics, -1 where the kernel keeps none."""
    try:
        descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    if len(os.pread(descriptor, 96, 0).split()) == 3:
        return descriptor
    os.close(descriptor)
    return -1


class Seat:
    """One thread of the worker and the request it executes: what ``wsgi.Call`` calls ``out``."""

    __slots__ = (
        "_worker",
        "wake",
        "id",
        "cancelled",
        "granted",
        "used",
        "credited",
        "begun_wall",
        "begun_cpu",
        "slow",
        "schedstat",
        "delay",
        "delay_at",
        "delay_every",
        "delay_due",
        "thread",
        "open",
        "late",
        "guard",
        "counted_from",
        "told",
        "replaced",
    )

    def __init__(self, worker):
        self._worker = worker
        self.wake = threading.Lock()  # held while parked; released to wake
        self.wake.acquire()
        self.id = 0  # the request being executed, 0 when none
        self.cancelled = 0  # the request whose client left last; an id, for it may be over when word of it comes
        self.granted = 0  # octets of body the front has room for, in all; written by whoever reads
        self.used = 0  # of these, sent; written by this seat's thread alone
        self.credited = threading.Lock()
        self.credited.acquire()
        self.begun_wall = 0
        self.begun_cpu = 0
        self.slow = True  # whether its last request was
        self.schedstat = -1
        self.delay = 0  # nanoseconds a request of this seat lately waited for a processor
        self.delay_at = 0  # the sum of all such waiting when it was last read
        self.delay_every = 1  # requests between two readings; doubled until it is DELAY_EVERY
        self.delay_due = 1  # requests until the next one
        self.thread = None
        self.open = False  # the thread is in the application
        self.late = 0  # when its request was found to be late, 0 if it was not
        self.guard = threading.Lock()
        self.counted_from = 0  # the limit counts from here, or from begun_wall: waiting for the client is not counted
        self.told = 0  # begun_wall of the request last told of for --log-slow
        self.replaced = None  # where another thread has its place, the connection on which that came to be: it ends when it is done

    def respond(self, status, flags, head, body, last, urgent):
        self.open = False
        if self.late:
            self._interrupted()
        size = len(head) + len(body)
        if len(body) > self.granted - self.used:
            # The head first; the body then goes as the front has room for it.
            self._put(wire.RESPONSE, flags, status, len(head), head, False)
            self.data(body, last, urgent)
            return
        self.used += len(body)
        worker = self._worker
        if last:
            wall, cpu = self._end()
            type = wire.RESPONSE
            if len(body) >= LEAST:
                type, body = self._place(type, body)
            header = wire.TO_FRONT.pack(
                len(head) + len(body), self.id, type, flags | wire.FLAG_LAST, status, len(head), wall, cpu
            )
            # In one step: between two, another thread's frame could come.
            worker.outbox.extend((header, head, body))
            worker.outbox_octets += size
        else:
            self._put(wire.RESPONSE, flags, status, len(head), head + body, urgent)
            self.open = True

    def data(self, octets, last, urgent):
        self.open = False
        if self.late:
            self._interrupted()
        try:
            self._data(octets, last, urgent)
        finally:
            # Also where the client has left: what the application does then takes its time, too.
            self.open = not last

    def _data(self, octets, last, urgent):
        position = 0
        size = len(octets)
        while size - position > self.granted - self.used:
            self._look()
            step = min(self.granted - self.used, STEP)
            if step > 0:
                self.used += step
                self._put(wire.DATA, 0, 0, 0, octets[position : position + step], True)
                position += step
            else:
                self._wait_for_credit()
        if urgent:
            self._look()
        self.used += size - position
        rest = octets[position:] if position else octets
        wall, cpu = self._end() if last else (0, 0)
        self._put(wire.DATA, wire.FLAG_LAST if last else 0, 0, 0, rest, urgent, wall, cpu)

    def fail(self):
        self.open = False
        if self.late:
            self._interrupted()
        wall, cpu = self._end()
        self._put(wire.FAIL, 0, 0, 0, b"", False, wall, cpu)

    @staticmethod
    def write(emit, octets):
        emit(octets)

    def _end(self):
        """Wall and CPU time of the request that ends, microseconds."""
        wall = perf_counter_ns() - self.begun_wall
        worker = self._worker
        if not self.begun_cpu and wall <= SLOW_FROM and worker.usual <= SLOW_FROM:
            # Asking for the thread's CPU time is a system call. Of a fast request it is known closely enough: it computed.
            self.slow = False
            wall //= 1000
            return wall, wall
        cpu = min(self._computed(), wall) if self.begun_cpu else wall
        self.slow = wall > SLOW_FROM
        if self.slow or worker.usual > SLOW_FROM:
            # Bounded, so that one slow request among fast ones does not make the next one seem usual.
            worker.usual += (min(wall, 4 * worker.usual + 1_000_000) - worker.usual) >> 4
        return min(wall // 1000, wire.MICROSECONDS_MOST), min(cpu // 1000, wire.MICROSECONDS_MOST)

    def _computed(self):
        """Nanoseconds the request that ends has computed, or would have with a processor to itself.

        The scheduler is to learn whether the application waits; waiting for a processor is not that, and more threads would
        not help. The kernel tells how long a thread waited for one (proc(5): schedstat, its second figure; the first is
        brought up to date a few times a second only); where it does not, CPU time has to do. Reading it lets go of the GIL,
        so it is read for several requests at once.
        """
        cpu = thread_time_ns() - self.begun_cpu
        if self.schedstat < 0:
            return cpu
        self.delay_due -= 1
        if not self.delay_due:
            delay = int(os.pread(self.schedstat, 96, 0).split()[1])
            self.delay = (delay - self.delay_at) // self.delay_every
            self.delay_at = delay
            self.delay_every = self.delay_due = min(2 * self.delay_every, DELAY_EVERY)
        # Who computes waits in proportion; what is more, a request waited to be woken (from its database, say), and that
        # more threads would make up for.
        return cpu + min(self.delay, 2 * cpu)

    def _look(self):
        """Learns whether the client left meanwhile, or the front: nobody else would end a stream that never ends."""
        worker = self._worker
        if self.cancelled != self.id:
            worker.read_what_is_there()
        if self.cancelled == self.id or worker.front_gone:
            raise ClientGone("the client left")

    def _wait_for_credit(self):
        since = perf_counter_ns()
        try:
            self._worker.wait_for_credit(self)
        finally:
            self.counted_from = max(self.counted_from, self.begun_wall) + perf_counter_ns() - since

    def executing(self, now):
        """Nanoseconds the application has taken for the request so far."""
        return now - max(self.counted_from, self.begun_wall)

    def _interrupted(self):
        """The thread comes back from the application and the watcher is about to interrupt it, or has done so. Raises RequestTimeout in its place."""
        with self.guard:
            if not self.late:
                return  # the watcher saw that it had come back
            self._worker.interrupt.forget(self.thread.ident)
        raise RequestTimeout("the request took longer than --request-timeout allows")

    def settle(self):
        """An interrupted request's execution has ended: after this no interruption of it can come any more."""
        while True:
            try:
                with self.guard:
                    self._worker.interrupt.forget(self.thread.ident)
                    self.open = False
                return
            except RequestTimeout:
                pass  # it came just now

    def _put(self, type, flags, status, head, payload, urgent, wall=0, cpu=0):
        worker = self._worker
        worker.outbox_octets += len(payload)
        if type == wire.DATA and len(payload) >= LEAST:
            type, payload = self._place(type, payload)
        worker.outbox.append(wire.frame(type, self.id, flags, status, head, wall, cpu, payload))
        if urgent:
            worker.flush()

    def _place(self, type, body):
        bodies = self._worker.bodies
        return (type, body) if bodies is None else bodies.place(type, body)
