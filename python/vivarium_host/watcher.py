"""The watcher: a thread of a worker that looks, while there is work, whether anything waits behind what is executed, and
whether anything is executed for too long. That it looks, it notes in the scoreboard: a worker that does not has stopped, or is
in a function that holds the GIL.
"""

import threading
from time import perf_counter_ns

from . import wire

# seconds: how long a leader may execute one request while others wait behind it; twice that where all take longer
TICK = 0.003
# What a worker has in hand while all its threads execute is given back when nothing was begun for so many times as long as it
# usually takes until one of them ends. Given back too readily it is missing when a thread is done: with eight threads of 20 ms,
# all taken, a page in 20 waited for the way to the front and back (0.94 of what they could answer, in place of 0.97).
LULL = 8
TICKS_TO_PARK = 25  # idle looks after which the watcher sleeps until it is woken
TICKS_TO_LIMITS = 4  # looks after which what is executed is compared with its limits
REST = 0.1  # seconds the watcher sleeps while requests are executed and nothing waits behind them
REPLACE_AFTER = 100_000_000  # nanoseconds an interrupted thread has to come back before another takes its place


class Watcher:
    """Looks every few milliseconds, less often while nothing waits, and sleeps while its worker waits for requests."""

    __slots__ = ("_worker", "_board", "_limit", "_slow", "_wake", "parked")

    def __init__(self, worker, board, settings):
        self._worker = worker
        self._board = board
        self._limit = settings["requestTimeout"] * 1_000_000  # nanoseconds; 0 is none
        self._slow = settings["logSlow"] * 1_000_000
        self.parked = False
        self._wake = threading.Lock()  # held while parked; released to wake
        self._wake.acquire()

    def start(self):
        threading.Thread(target=self._watch, name="vivarium-watcher", daemon=True).start()

    def wake(self):
        """Called by whoever has read requests and finds it parked."""
        self.parked = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # woken by another thread already

    def _watch(self):
        """The watcher's life."""
        worker = self._worker
        seen_begun = seen_flushes = seen_id = idle = since_limits = 0
        begun_at = perf_counter_ns()  # when it was seen last that something was begun
        wake = self._wake
        board = self._board
        while True:
            board[1] = (board[1] + 1) & 0xFFFFFFFF
            if idle >= TICKS_TO_PARK:
                self.parked = True
                woken = not worker.reading or wake.acquire(timeout=REST if worker.executes else -1)
                self.parked = False
                if not woken:
                    self._look_at_limits()
                    continue
                idle = 0
            wake.acquire(timeout=TICK if worker.usual < 1e9 * TICK else 2 * TICK)
            since_limits += 1
            if since_limits == TICKS_TO_LIMITS:
                since_limits = 0
                self._look_at_limits()
            begun = worker.begun
            leader = worker.leader
            # What the leader executes: 0 for one that reads, or that has yet to begin what it has read.
            id = -1 if leader is None else leader.id
            now = perf_counter_ns()
            if begun != seen_begun:
                begun_at = now
            if begun == seen_begun and id and id == seen_id:
                idle = 0
                # What such requests always take is no reason to move others.
                if leader is None:
                    late = now - begun_at > LULL * worker.usual // len(worker.seats)
                else:
                    late = now - leader.begun_wall > 4 * worker.usual
                if late:
                    worker.rescue(begun)
            elif worker.outbox and worker.flushes == seen_flushes:
                worker.flush()
            if begun == seen_begun and worker.reading:
                idle += 1
            else:
                idle = 0
            seen_begun = begun
            seen_id = id
            seen_flushes = worker.flushes

    # ---- limits

    def _look_at_limits(self):
        worker = self._worker
        if worker.interrupt is None:
            return
        now = perf_counter_ns()
        for seat in list(worker.seats):
            # Whatever is found here is another request's the moment after; it is looked at again where that matters.
            if seat.late:
                if now - seat.late > REPLACE_AFTER and worker.replace(seat):
                    self._tell(seat.id, wire.FLAG_REPLACED, b"")
            elif seat.open:
                taken = seat.executing(now)
                limit = worker.limits.get(seat.id, self._limit)
                if limit and taken >= limit:
                    self._interrupt(seat, now)
                elif self._slow and taken >= self._slow and seat.told != seat.begun_wall:
                    self._tell_slow(seat, now)

    def _interrupt(self, seat, now):
        """Tells the front that a request is late, with the stack of its thread, and raises RequestTimeout in that."""
        interrupt = self._worker.interrupt
        with seat.guard:
            seat.late = now
            limit = self._worker.limits.get(seat.id, self._limit)
            # From here on its thread waits when it comes back; if it came back before, it may be at another request.
            if not seat.open or not limit or seat.executing(now) < limit:
                seat.late = 0
                return
            self._tell(seat.id, 0, self._stack(seat))
            interrupt.interrupt(seat.thread.ident)

    def _tell_slow(self, seat, now):
        begun = seat.begun_wall
        id = seat.id
        stack = self._stack(seat)
        if seat.open and seat.begun_wall == begun and seat.id == id and seat.executing(now) >= self._slow:
            seat.told = begun
            self._tell(id, wire.FLAG_SLOW, stack)

    def _stack(self, seat):
        try:
            return self._worker.interrupt.stack_of(seat.thread.ident).encode("utf-8", "backslashreplace")
        except Exception as error:  # a source that cannot be read; the watcher must live
            return ("its stack cannot be told: %r\n" % error).encode("utf-8", "backslashreplace")

    def _tell(self, id, flags, stack):
        self._worker.outbox.append(wire.frame(wire.LATE, id, flags, payload=stack))
        self._worker.flush()
