"""The watcher: a thread of a worker that looks, while there is work, whether anything waits behind what is executed."""

import threading
from time import perf_counter_ns

# seconds: how long a leader may execute one request while others wait behind it; twice that where all take longer
TICK = 0.003
TICKS_TO_PARK = 25  # idle looks after which the watcher sleeps until it is woken


class Watcher:
    """Looks every few milliseconds, and sleeps while its worker waits for requests."""

    __slots__ = ("_worker", "_wake", "parked")

    def __init__(self, worker):
        self._worker = worker
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
        seen_begun = seen_flushes = seen_id = idle = 0
        wake = self._wake
        while True:
            if idle >= TICKS_TO_PARK:
                self.parked = True
                if worker.reading:
                    wake.acquire()
                self.parked = False
                idle = 0
            wake.acquire(timeout=TICK if worker.usual < 1e9 * TICK else 2 * TICK)
            begun = worker.begun
            leader = worker.leader
            # What the leader executes: 0 for one that reads, or that has yet to begin what it has read.
            id = -1 if leader is None else leader.id
            if begun == seen_begun and id and id == seen_id:
                idle = 0
                # What such requests always take is no reason to move others.
                if leader is None or perf_counter_ns() - leader.begun_wall > 4 * worker.usual:
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
