"""A worker: reads requests from the front, runs the application in up to N threads, writes answers.

It outlives its front. Where that has died, nobody waits for what is executed here: it goes on to its end and its answers are
dropped, as is what was written ahead. When nothing is executed any more, the thread that leads says hello to the next front.

One thread leads: it reads requests and executes one after the other, and writes many answers at once. So one wake-up
serves many requests. Three things keep that from making anybody wait:

* A request that carries HAND-OVER (the scheduler found that the application waits) makes the leader hand the lead to an
  idle thread before it executes. When no thread is idle nobody leads: the first to finish takes the lead again.
* A watcher looks every 3 ms while there is work. A leader that has been executing the same request since the last look,
  and for four times what such requests take, loses the lead to an idle thread, and what it had answered and not written is
  written. Answers belong to the worker, not to the thread.
* Where no thread is idle, the watcher gives requests that were written ahead back to the front.

The watcher also sees what is executed for longer than it may be: ``seat.py`` says how that is interrupted.

Safety: a request leaves ``inbox`` once (popleft), so it is executed once, whoever believes to lead. Only who holds
``read_lock`` reads, only who holds ``send_lock`` writes. Whoever puts an answer in ``outbox`` writes it, or leads (and so writes
before reading), or the watcher does.
An interruption comes only while its thread is in the application (``seat.py``): no frame is lost, no lock stays locked here.
Progress: ``leader`` is None only while every thread executes. A thread that was interrupted and does not come back does not
count: another has its place.
"""

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from time import perf_counter_ns, thread_time_ns

from . import RequestTimeout, wire
from .forked import give_signals
from .front import Front
from .seat import Seat, open_schedstat
from .shared import shared_bodies
from .watcher import Watcher
from .wsgi import ClientGone

READ_SIZE = 65536
OUTBOX_MOST = 128 * 1024  # octets of answers held before they are written although requests are waiting
CANCELLED_MOST = 64  # cancelled requests remembered before those that are over are forgotten
LIMITS_MOST = 2048  # limits remembered before those of requests that are over are forgotten
JOIN = 1.0  # seconds after which it is seen that a thread waited for at the end was replaced
HOLD_COUNT = 8  # answers written at once: half of what is written ahead, so that the front works while this worker does
HOLD_MOST = 1_000_000  # nanoseconds an answer is held for company
# seconds between two looks for a front where there is none, the first and the longest
LOOK_FIRST = 0.005
LOOK_LONGEST = 0.02


class Worker:
    """Serves a front, and the next one when that has died, until one says that it is the end."""

    def __init__(self, host, settings):
        self._settings = settings
        self._front = Front(settings, settings["threads"], host)
        self._board = self._front.board
        self._connection = None
        self._host = host
        self._threads = settings["threads"]
        self._response_memory = settings["responseMemory"]
        self._reader = wire.FrameReader()
        self.inbox = deque()
        self.outbox = deque()
        self.outbox_octets = 0
        self.bodies = None  # memory for bodies that the front has, too
        self._cancelled = set()
        self._lock = threading.Lock()  # guards leader, _idle and seats
        self.read_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self.reading = False  # the leader is waiting for requests
        self._ended = False  # no request will come any more
        self.front_gone = True  # it reads nothing of what is written, and what it sent is void
        self.begun = 0  # requests begun, in all
        self.flushes = 0
        self.usual = 0  # moving average of a slow application's wall time, nanoseconds; near 0 for a fast one
        self.limits = {}  # of requests whose limit is not the usual one, nanoseconds by id
        self.interrupt = None  # the module, where there may be limits
        if settings["limits"]:
            from . import interrupt

            self.interrupt = interrupt
        self._memory = None  # where it may have only so much
        first = Seat(self)
        first.thread = threading.current_thread()
        self.seats = [first]
        self._made = 1  # seats, in all
        self._idle = []
        self._others = []  # the threads of the seats after the first
        self.leader = first
        self._watcher = Watcher(self, self._board, settings)

    @property
    def executes(self):
        """Whether anything is being executed."""
        return any(seat.id for seat in self.seats)

    def serve(self):
        """Runs on the main thread, which is the first seat's, until the end and until everything is answered."""
        first = self.leader
        give_signals()
        if self.interrupt is not None:
            self.interrupt.wake_by_signal(first)
        self._watcher.start()
        self._occupy(first)
        # Other threads may still be executing; their answers are owed, but for those of replaced ones.
        while True:
            with self._lock:
                running = [thread for thread in self._others if thread.is_alive()]
            if not running:
                break
            running[0].join(JOIN)
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
            if flags & wire.FLAG_LITTLE_MEMORY:
                seat.granted = min(seat.granted, wire.LITTLE_MEMORY)
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
            self.begun += 1
            seat.begun_wall = begun = perf_counter_ns()
            seat.begun_cpu = thread_time_ns() if seat.slow or flags & wire.FLAG_HAND_OVER else 0
            try:
                seat.open = True
                execute(shared, variables, body, flags & wire.FLAG_BODY_IN_FILE, seat)
            except RequestTimeout:
                if not self._settle(seat):
                    return
            seat.id = 0
            if self._memory is not None:
                self._look_at_memory()
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

    def _look_at_memory(self):
        """Asks to be replaced where it has too much. The answer that comes with it is in the outbox before."""
        kib = self._memory.beyond()
        if kib:
            self.outbox.append(wire.frame(wire.RETIRE, 0, wall=kib))

    def _settle(self, seat):
        """An interrupted request has ended. False: so does its thread, whose place another has."""
        seat.settle()
        with self._lock:
            seat.late = 0
            replaced = seat.replaced
        # Of a replaced thread it may be another front by now, to which that id means nothing, or something else.
        if replaced is None or replaced is self._connection:
            self.outbox.append(wire.frame(wire.LATE, seat.id, wire.FLAG_OVER))
        seat.slow = True
        if replaced is not None:
            self.flush()
        return replaced is None

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
        """It is the end and nothing is left to begin: lets the idle threads end too."""
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
        self.reading = True
        with self.read_lock:
            # Whoever waited for credit may have read meanwhile, or the lead be gone.
            if self.leader is seat and not self.inbox and not self._ended:
                if self.front_gone:
                    self._ended = not self._find_front(seat)
                else:
                    try:
                        data = self._connection.recv(max(READ_SIZE, self._reader.missing))
                    except OSError:
                        data = b""
                    self._take(data)
        self.reading = False
        if self._watcher.parked:
            self._watcher.wake()
        return not self._ended or bool(self.inbox) or self.leader is not seat

    def _take(self, data):
        """Sorts frames; the caller holds read_lock."""
        if not data:
            self._lose_front()
            return
        for frame in self._reader.feed(data):
            type = frame[0]
            if type == wire.REQUEST:
                self.inbox.append(frame)
            elif type == wire.CREDIT:
                for seat in self.seats:
                    if seat.id == frame[1]:
                        seat.granted += frame[2]
                        self._wake_for_credit(seat)
            elif type == wire.CANCEL:
                self._cancel(frame[1])
            elif type == wire.LIMIT:
                self._limit(frame[1], frame[2])
            elif type == wire.END:
                self._ended = True
            elif type == wire.SHARED_IN:
                self._share(frame[2])

    def _share(self, path):
        self._reader.bodies = self.bodies = bodies = shared_bodies(path)
        self.outbox.append(wire.frame(wire.SHARED, 0, wire.FLAG_HAS if bodies is not None else 0))

    def _cancel(self, id):
        # Noted first, then looked for: the request may be on its way from the inbox to a seat, which looks here once it has it.
        cancelled = self._cancelled
        cancelled.add(id)
        for seat in self.seats:
            if seat.id == id:
                seat.cancelled = id
                cancelled.discard(id)
                self._wake_for_credit(seat)
                return
        if len(cancelled) > CANCELLED_MOST:
            # Most were answered before word came that their client had left.
            cancelled.intersection_update([id] + [frame[1] for frame in list(self.inbox)])

    def _limit(self, id, milliseconds):
        limits = self.limits
        if len(limits) == LIMITS_MOST:
            # Most of them are over. Those begun long ago are in a seat, what is on its way there has come lately.
            kept = {seat.id for seat in list(self.seats)}
            for known in list(limits):
                if (id - known) & 0xFFFFFFFF > LIMITS_MOST // 2 and known not in kept:
                    del limits[known]
        limits[id] = milliseconds * 1_000_000

    @staticmethod
    def _wake_for_credit(seat):
        try:
            seat.credited.release()
        except RuntimeError:
            pass  # it was not waiting

    def read_what_is_there(self):
        """Reads without waiting, unless somebody reads already."""
        if self._ended or self.front_gone or not self.read_lock.acquire(False):
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
            if seat.cancelled == seat.id or self._ended or self.front_gone:
                # A front says END only when every request was answered or given up.
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
            self.flushes += 1
            if self.front_gone:
                outbox.clear()
                return
            try:
                self._connection.sendall(b"".join([outbox.popleft() for _ in range(count)]))
            except OSError:
                outbox.clear()
                self._lose_front()

    # ---- the front

    def _lose_front(self):
        """It has died: its clients are gone, and what they asked and nobody has begun nobody is to begin."""
        self.front_gone = True
        self.bodies = None
        self.inbox.clear()

    def _find_front(self, seat):
        """Says hello to the next front when no other thread executes anything. False: there will be none."""
        while any(other.id for other in self.seats if other is not seat):
            time.sleep(LOOK_FIRST)
        wait = LOOK_FIRST
        while self._front.may_come():
            try:
                self._connection = self._front.connect()
            except OSError:
                time.sleep(wait)  # there is none yet, or it has died at once
                wait = min(2 * wait, LOOK_LONGEST)
                continue
            self._reader = wire.FrameReader()
            self.inbox.clear()
            self._cancelled = set()
            self.limits.clear()
            self._board[0] = 0
            if self._settings["memory"]:
                from .memory import Memory

                self._memory = Memory(self._settings["memory"])  # what it told before may not have arrived
            with self._send_lock:
                self.outbox.clear()
                try:
                    self._connection.sendall(self._front.hello)
                except OSError:
                    continue
                self.front_gone = False
            if self._memory is not None:
                self._look_at_memory()
            return True
        return False

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
        elif len(self.seats) < self._threads:
            seat = Seat(self)
            name = "vivarium-thread-%d" % self._made
            seat.thread = thread = threading.Thread(target=self._occupy, args=(seat,), name=name, daemon=True)
            self._made += 1
            self.seats.append(seat)
            self._others.append(thread)
            self.leader = seat
            try:
                thread.start()
            except RuntimeError:
                # The system has no more (pids.max of a container, memory). A worker with fewer threads still serves.
                self.seats.pop()
                self._others.pop()
                self.leader = None
        else:
            self.leader = None

    def replace(self, seat):
        """Gives the place of an interrupted thread that does not come back to another. False: not now."""
        with self._lock:
            # To a second thread in one that is to have only one, even this must not happen (PEP 3333, wsgi.multithread).
            if self._threads == 1 or not seat.late:
                return False
            # Another list, for somebody may just go through this one.
            self.seats = [other for other in self.seats if other is not seat]
            if self.leader is None or self.leader is seat:
                self._appoint()
                if self.leader is None:  # there is no thread to be had
                    self.seats.append(seat)
                    return False
            if seat.thread in self._others:
                self._others.remove(seat.thread)
            seat.replaced = self._connection
            return True

    def rescue(self, begun):
        """Nobody reads, and no request was begun since the last look: what waits behind the running one must not."""
        if self.outbox:
            self.flush()
        if self.leader is not None:
            with self._lock:
                if self.begun != begun or self.reading or self.leader is None:
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


def _be_patient():
    """
    A worker that wakes up does not interrupt who runs (SCHED_BATCH, sched(7)), while all share the processors as before. The front it would
    interrupt has just written to it and goes on to write to others: woken in the middle of that, hello world costs a tenth more.
    Whoever starts the server under another policy keeps that. Processes that the application starts inherit it.
    """
    try:
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except (AttributeError, OSError):
        pass  # not to be had, or not allowed, here


def run(host, settings):
    """The whole life of a worker process. Returns its exit status."""
    _be_patient()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the application may have put something else in its place
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # For who wants to know what a worker does that does not answer: works when nothing of Python does any more.
    faulthandler.register(signal.SIGUSR2, file=2)
    if not faulthandler.is_enabled():
        faulthandler.enable(file=2)
    if host.interface == "asgi":
        return host.run(settings)
    Worker(host, settings).serve()
    return 0
