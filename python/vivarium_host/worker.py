"""A worker: reads requests from the front, runs the application in up to N threads, writes answers.

One thread leads: it reads requests and executes one after the other, and writes many answers at once. So one wake-up
serves many requests. Three things keep that from making anybody wait:

* A request that carries HAND-OVER (the scheduler found that the application waits) makes the leader hand the lead to an
  idle thread before it executes. When no thread is idle nobody leads: the first to finish takes the lead again.
* A watcher looks every 3 ms while there is work. A leader that has been executing the same request since the last look,
  and for four times what such requests take, loses the lead to an idle thread, and what it had answered and not written is
  written. Answers belong to the worker, not to the thread.
* Where no thread is idle, the watcher gives requests that were written ahead back to the front.

Safety: a request leaves ``inbox`` once (popleft), so it is executed once, whoever believes to lead. Only who holds
``read_lock`` reads, only who holds ``send_lock`` writes. Whoever puts an answer in ``outbox`` writes it, or leads (and so writes
before reading), or the watcher does.
Progress: ``leader`` is None only while every thread executes.
"""

import json
import mmap
import os
import socket
import sys
import threading
from collections import deque
from time import perf_counter_ns, thread_time_ns

from . import wire
from .wsgi import ClientGone

# seconds: how long a leader may execute one request while others wait behind it; twice that where all take longer
TICK = 0.003
TICKS_TO_PARK = 25  # idle looks after which the watcher sleeps until it is woken
READ_SIZE = 65536
SLOW_FROM = 500_000  # nanoseconds of wall time from which the CPU time of the next request is measured
DELAY_EVERY = 16  # slow requests of a thread for which its waiting for a processor is read once
STEP = 262144  # octets of a large body sent in one frame
OUTBOX_MOST = 128 * 1024  # octets of answers held before they are written although requests are waiting
CANCELLED_MOST = 64  # cancelled requests remembered before those that are over are forgotten
HOLD_COUNT = 8  # answers written at once: half of what is written ahead, so that the front works while this worker does
HOLD_MOST = 1_000_000  # nanoseconds an answer is held for company


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
        "number",
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
    )

    def __init__(self, worker, number):
        self._worker = worker
        self.number = number
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

    def respond(self, status, flags, head, body, last, urgent):
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
            header = wire.TO_FRONT.pack(
                size, self.id, wire.RESPONSE, flags | wire.FLAG_LAST, status, len(head), wall, cpu
            )
            # In one step: between two, another thread's frame could come.
            worker.outbox.extend((header, head, body))
            worker.outbox_octets += size
        else:
            self._put(wire.RESPONSE, flags, status, len(head), head + body, urgent)

    def data(self, octets, last, urgent):
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
                self._worker.wait_for_credit(self)
        if urgent:
            self._look()
        self.used += size - position
        rest = octets[position:] if position else octets
        wall, cpu = self._end() if last else (0, 0)
        self._put(wire.DATA, wire.FLAG_LAST if last else 0, 0, 0, rest, urgent, wall, cpu)

    def fail(self):
        wall, cpu = self._end()
        self._put(wire.FAIL, 0, 0, 0, b"", False, wall, cpu)

    def _end(self):
        """Wall and CPU time of the request that ends, microseconds."""
        wall = perf_counter_ns() - self.begun_wall
        # Asking for the thread's CPU time is a system call. Of a fast request it is known closely enough: it computed.
        cpu = min(self._computed(), wall) if self.begun_cpu else wall
        self.slow = wall > SLOW_FROM
        worker = self._worker
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

    def _put(self, type, flags, status, head, payload, urgent, wall=0, cpu=0):
        worker = self._worker
        worker.outbox.append(wire.frame(type, self.id, flags, status, head, wall, cpu, payload))
        worker.outbox_octets += len(payload)
        if urgent:
            worker.flush()


class Worker:
    """Serves one front until it closes the connection."""

    def __init__(self, connection, host, settings):
        self._connection = connection
        self._host = host
        self._threads = settings["threads"]
        self._response_memory = settings["responseMemory"]
        self._reader = wire.FrameReader()
        self.inbox = deque()
        self.outbox = deque()
        self.outbox_octets = 0
        self._cancelled = set()
        self._lock = threading.Lock()  # guards leader, _idle and _seats
        self.read_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._reading = False  # the leader is waiting for requests
        self._ended = False  # the front will send nothing more
        self.front_gone = False  # nor will it read anything
        self._begun = 0  # requests begun, in all
        self._flushes = 0
        self.usual = 0  # moving average of a slow application's wall time, nanoseconds; near 0 for a fast one
        self._seats = [Seat(self, 0)]
        self._idle = []
        self._others = []  # the threads of the seats after the first
        self.leader = self._seats[0]
        self._watcher_parked = False
        self._watcher_wake = threading.Lock()
        self._watcher_wake.acquire()
        descriptor = os.open(settings["scoreboard"], os.O_RDWR)
        try:
            self._board = memoryview(mmap.mmap(descriptor, 64)).cast("I")
        finally:
            os.close(descriptor)

    def serve(self):
        """Runs on the main thread, which is the first seat's, until the front closes and everything is answered."""
        threading.Thread(target=self._watch, name="vivarium-watcher", daemon=True).start()
        self._occupy(self._seats[0])
        # Other threads may still be executing; their answers are owed.
        for thread in self._others:
            with self._lock:
                pass  # `_appoint` starts what it has added before it lets go of this
            thread.join()
        self.flush()

    # ---- a thread's life

    def _occupy(self, seat):
        """What each thread runs: leads, executes, or is parked."""
        inbox = self.inbox
        execute = self._host.execute
        board = self._board
        held_since = held = 0
        seat.schedstat = open_schedstat()
        while True:
            if self.leader is not seat:
                if not self._park(seat):
                    return
                held_since = 0
                continue
            try:
                _, id, flags, shared, variables, body = inbox.popleft()
            except IndexError:
                if not self._read(seat):
                    self._leave(seat)
                    return
                held_since = 0
                continue
            seat.used = 0
            seat.granted = self._response_memory
            seat.id = id
            if self._cancelled and id in self._cancelled:
                self._cancelled.discard(id)
                seat.id = 0
                self.outbox.append(wire.frame(wire.DROPPED, id))
                continue
            # Before the lead goes: the next leader writes a later id.
            if not (id - board[0]) & 0x80000000:  # ids start again after 2**32 - 1
                board[0] = id
            if flags & wire.FLAG_HAND_OVER:
                self._hand_over(seat)
            self._begun += 1
            seat.begun_wall = begun = perf_counter_ns()
            seat.begun_cpu = thread_time_ns() if seat.slow or flags & wire.FLAG_HAND_OVER else 0
            execute(shared, variables, body, flags & wire.FLAG_BODY_IN_FILE, seat)
            seat.id = 0
            if self.leader is seat:
                # An answer waits for company only while the next ones come quickly.
                if not held_since:
                    held_since = begun
                    held = 0
                held += 1
                if (
                    held == HOLD_COUNT
                    or perf_counter_ns() - held_since > HOLD_MOST
                    or self.outbox_octets > OUTBOX_MOST
                ):
                    self.flush()
                    held_since = 0
            else:
                self.flush()

    def _park(self, seat):
        """Takes the lead if nobody has it, else sleeps until it is given. False: the worker ends."""
        with self._lock:
            if self.leader is None:
                self.leader = seat
                return True
            if self._ended:
                return False
            self._idle.append(seat)
        seat.wake.acquire()
        # The lead may be gone again already, to a thread that was quicker: then it is parked once more.
        return self.leader is seat or not self._ended

    def _leave(self, seat):
        """The front closed and nothing is left to begin: lets the idle threads end too."""
        with self._lock:
            if self.leader is seat:
                self.leader = None
            for other in self._idle:
                other.wake.release()
            self._idle.clear()

    def _read(self, seat):
        """Writes what was answered, then waits for requests. False: there will be none."""
        if self.outbox:
            self.flush()
        self._reading = True
        with self.read_lock:
            # Whoever waited for credit may have read meanwhile, or the lead be gone.
            if self.leader is seat and not self.inbox and not self._ended:
                try:
                    data = self._connection.recv(max(READ_SIZE, self._reader.missing))
                except OSError:
                    data = b""
                self._take(data)
        self._reading = False
        if self._watcher_parked:
            self._watcher_parked = False
            try:
                self._watcher_wake.release()
            except RuntimeError:
                pass  # woken by another thread already
        return not self._ended or bool(self.inbox) or self.leader is not seat

    def _take(self, data):
        """Sorts frames; the caller holds read_lock."""
        if not data:
            self._ended = True
            return
        for frame in self._reader.feed(data):
            type = frame[0]
            if type == wire.REQUEST:
                self.inbox.append(frame)
            elif type == wire.CREDIT:
                for seat in self._seats:
                    if seat.id == frame[1]:
                        seat.granted += frame[2]
                        self._wake_for_credit(seat)
            elif type == wire.CANCEL:
                self._cancel(frame[1])

    def _cancel(self, id):
        # Noted first, then looked for: the request may be on its way from the inbox to a seat, which looks here once it has it.
        cancelled = self._cancelled
        cancelled.add(id)
        for seat in self._seats:
            if seat.id == id:
                seat.cancelled = id
                cancelled.discard(id)
                self._wake_for_credit(seat)
                return
        if len(cancelled) > CANCELLED_MOST:
            # Most were answered before word came that their client had left.
            cancelled.intersection_update([id] + [frame[1] for frame in list(self.inbox)])

    @staticmethod
    def _wake_for_credit(seat):
        try:
            seat.credited.release()
        except RuntimeError:
            pass  # it was not waiting

    def read_what_is_there(self):
        """Reads without waiting, unless somebody reads already."""
        if self._ended or not self.read_lock.acquire(False):
            return
        try:
            self._take(self._connection.recv(max(READ_SIZE, self._reader.missing), socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
        except OSError:
            self._take(b"")
        finally:
            self.read_lock.release()

    def wait_for_credit(self, seat):
        """Waits until the front has room for this request's body. Raises ClientGone."""
        self.flush()
        while seat.granted <= seat.used:
            if seat.cancelled == seat.id or self._ended:
                # The front closes its side only when every request was answered or given up, or when it dies.
                raise ClientGone("the client left")
            if self.read_lock.acquire(False):
                try:
                    # Nobody else fills the inbox now. What is in it is for the leader, who may have found it empty before and
                    # be waiting for the lock: it must get that before the next frames come, which may be never.
                    if not self.inbox or self.leader is None or self.leader is seat:
                        self._take(self._connection.recv(READ_SIZE))
                        continue
                except OSError:
                    self._take(b"")
                finally:
                    self.read_lock.release()
            seat.credited.acquire(timeout=0.01)

    def flush(self):
        """Writes all answers there are."""
        outbox = self.outbox
        with self._send_lock:
            count = len(outbox)
            if not count:
                return
            self.outbox_octets = 0
            self._flushes += 1
            try:
                self._connection.sendall(b"".join([outbox.popleft() for _ in range(count)]))
            except OSError:
                # So will this worker go when it reads.
                self.front_gone = True
                outbox.clear()

    # ---- the lead

    def _hand_over(self, seat):
        """Gives the lead to an idle thread before a request is executed that will wait."""
        if self.outbox:
            self.flush()
        with self._lock:
            if self.leader is seat:
                self._appoint()

    def _appoint(self):
        """Makes an idle thread the leader, a new one where there may be more, else nobody. The caller holds _lock."""
        if self._idle:
            seat = self._idle.pop()
            self.leader = seat
            seat.wake.release()
        elif len(self._seats) < self._threads:
            seat = Seat(self, len(self._seats))
            thread = threading.Thread(
                target=self._occupy, args=(seat,), name="vivarium-thread-%d" % seat.number, daemon=True
            )
            self._seats.append(seat)
            self._others.append(thread)
            self.leader = seat
            try:
                thread.start()
            except RuntimeError:
                # The system has no more (pids.max of a container, memory). A worker with fewer threads still serves.
                self._seats.pop()
                self._others.pop()
                self.leader = None
        else:
            self.leader = None

    def _watch(self):
        """The watcher's life."""
        seen_begun = seen_flushes = seen_id = idle = 0
        wake = self._watcher_wake
        while True:
            if idle >= TICKS_TO_PARK:
                self._watcher_parked = True
                if self._reading:
                    wake.acquire()
                self._watcher_parked = False
                idle = 0
            wake.acquire(timeout=TICK if self.usual < 1e9 * TICK else 2 * TICK)
            begun = self._begun
            leader = self.leader
            # What the leader executes: 0 for one that reads, or that has yet to begin what it has read.
            id = -1 if leader is None else leader.id
            if begun == seen_begun and id and id == seen_id:
                idle = 0
                # What such requests always take is no reason to move others.
                if leader is None or perf_counter_ns() - leader.begun_wall > 4 * self.usual:
                    self._rescue(begun)
            elif self.outbox and self._flushes == seen_flushes:
                self.flush()
            if begun == seen_begun and self._reading:
                idle += 1
            else:
                idle = 0
            seen_begun = begun
            seen_id = id
            seen_flushes = self._flushes

    def _rescue(self, begun):
        """Nobody reads, and no request was begun since the last look: what waits behind the running one must not."""
        if self.outbox:
            self.flush()
        if self.leader is not None:
            with self._lock:
                if self._begun != begun or self._reading or self.leader is None:
                    return
                self._appoint()
                if self.leader is not None:
                    return
        self.read_what_is_there()
        returned = False
        while self.inbox:
            try:
                frame = self.inbox.pop()
            except IndexError:
                break
            self._cancelled.discard(frame[1])
            self.outbox.append(wire.frame(wire.RETURNED, frame[1]))
            returned = True
        if returned:
            self.flush()


def connect(settings):
    """Connects to the front and says hello."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(settings["wire"])
    hello = {"worker": settings["worker"], "pid": os.getpid(), "threads": settings["threads"]}
    connection.sendall(wire.frame(wire.HELLO, 0, payload=json.dumps(hello).encode()))
    return connection


def run(host, settings):
    """The whole life of a worker process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the application may have put something else in its place
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    connection = connect(settings)
    # A process that the application forks (multiprocessing does) must neither read this worker's requests nor, living on
    # when the worker has died, keep the front waiting for its answers.
    os.register_at_fork(after_in_child=connection.close)
    Worker(connection, host, settings).serve()
