"""Looks from another thread whether the event loop turns. While it does, its scoreboard says so; a loop that a synchronous call
blocks says nothing, and the log says where it is."""

import asyncio
import sys
import threading
import traceback
from time import perf_counter_ns

from .. import RequestTimeout, wire
from ..interrupt import stack_of
from ..wsgi import report

PERIOD = 0.1  # seconds between two looks while requests are executed
LOOKS_TO_PARK = 20  # looks without a request after which it sleeps until there is one
BLOCKED_FROM = 1_000_000_000  # nanoseconds from which it is told


class Watcher:
    def __init__(self, worker, board):
        self._worker = worker
        self._board = board
        self._asked = 0  # when the loop was asked to turn; 0 where it has
        self._told = False
        self._wake = threading.Lock()  # held while parked; released to wake
        self._wake.acquire()
        self.parked = False

    def start(self):
        threading.Thread(target=self._watch, name="vivarium-watcher", daemon=True).start()

    def wake(self):
        """Called by the loop when a request begins and this is parked."""
        self.parked = False
        self._wake.release()

    def _watch(self):
        idle = 0
        while True:
            if idle >= LOOKS_TO_PARK:
                self._park()
                idle = 0
            self._wake.acquire(timeout=PERIOD)
            idle = 0 if self._worker.running or self._asked else idle + 1
            if self._asked:
                self._look()
            else:
                self._asked = perf_counter_ns()
                try:
                    self._worker.loop.call_soon_threadsafe(self._turned)
                except RuntimeError:
                    return  # it is closed: the worker ends

    def _park(self):
        self.parked = True
        if self._worker.running:  # it has begun just now, and did not see it
            self.parked = False
        else:
            self._wake.acquire()

    def _turned(self):
        """On the loop."""
        board = self._board
        board[1] = (board[1] + 1) & 0xFFFFFFFF
        now = perf_counter_ns()
        blocked = now - self._asked
        self._asked = 0
        if blocked >= BLOCKED_FROM:
            self._note(blocked)
        board[2] = 0
        if self._told:
            self._told = False
            report("the event loop was blocked for %.1f s" % (blocked / 1e9))
        self._worker.look(now)

    def _note(self, blocked):
        milliseconds = min(blocked // 1_000_000, 0xFFFFFFFF)
        self._board[2] = milliseconds
        if milliseconds > self._board[3]:
            self._board[3] = milliseconds

    def _look(self):
        """The loop has not turned since it was asked to."""
        asked = self._asked
        now = perf_counter_ns()
        blocked = now - asked if asked else 0
        if blocked < BLOCKED_FROM:
            return
        self._note(blocked)
        if not self._told:
            self._told = True
            stack = stack_of(self._worker.thread)
            report(
                "the event loop has been blocked for %.1f s, and nothing else that this worker executes goes on. %s"
                % (blocked / 1e9, "It is here:\n" + stack if stack else "It is in no line of the application.")
            )
        self._worker.look_blocked(now)
