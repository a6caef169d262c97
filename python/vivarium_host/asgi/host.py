"""A worker that runs an ASGI application: one thread with an event loop, on which each request is a task.

What the front sends is read as the loop says that there is something, many frames at once; what is answered is gathered and written
once when all that is ready has had its turn. It outlives its front, as worker.py does.
"""

import asyncio
import faulthandler
import signal
import sys
import threading
from collections import deque
from time import perf_counter_ns

from .. import RequestTimeout, wire
from ..forked import give_signals
from ..front import Front
from ..load import LoadError
from ..shared import shared_bodies
from ..wsgi import report
from .http import Http
from .lifespan import Lifespan, StartupFailed
from .scope import http_scope, websocket_scope
from .watcher import Watcher
from .websocket import WebSocket

# Ten bodies of 10 KB in one turn of the loop; from 128 KiB on malloc would have memory mapped, and unmapped, for each read.
READ_SIZE = 120 * 1024
OUTBOX_MOST = 128 * 1024  # octets of answers held before they are written although others have their turn yet
CONGESTED_FROM = 1024 * 1024  # octets that the front has not read, beyond which applications wait
LOOK_LONGEST = 0.02  # seconds between two looks for a front where there is none
OTHERS_LONGEST = 1.0  # seconds in which tasks that are cancelled are to end
TASKS_MOST = 50  # whose stacks are told at once
LOAD_FAILED = 3  # exit status of a worker whose application does not start

EAGER = sys.version_info >= (3, 12)


class Host:
    """An ASGI application, and how it is run."""

    interface = "asgi"

    def __init__(self, application, event_loop):
        self.application = application
        self.new_loop, self.event_loop = _loop_factory(event_loop)

    def run(self, settings):
        """The whole life of a worker process. Returns its exit status."""
        loop = self.new_loop()
        asyncio.set_event_loop(loop)
        worker = Worker(loop, self, settings)
        try:
            return loop.run_until_complete(worker.serve())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def rehearse(self):
        """Lets the application start, and shut down again. Raises StartupFailed."""
        loop = self.new_loop()
        asyncio.set_event_loop(loop)
        lifespan = Lifespan(self.application, loop)
        try:
            loop.run_until_complete(lifespan.startup())
            loop.run_until_complete(lifespan.shutdown())
        finally:
            loop.run_until_complete(_cancel_others())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def _cancel_others():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=OTHERS_LONGEST)


def _loop_factory(name):
    """What makes an event loop, and what that is. auto: uvloop where the application's environment has it. Raises LoadError."""
    if name != "asyncio":
        try:
            import uvloop

            return uvloop.new_event_loop, "uvloop %s" % uvloop.__version__
        except ImportError as error:
            if name == "uvloop":
                raise LoadError("--event-loop uvloop: it cannot be imported (%s); install it, or leave the option out." % error) from None
    return asyncio.new_event_loop, "asyncio"


class Worker:
    def __init__(self, loop, host, settings):
        self.loop = loop
        self.thread = threading.get_ident()
        self._application = host.application
        self._settings = settings
        self.response_memory = settings["responseMemory"]
        self._limit = settings["requestTimeout"] * 1_000_000  # nanoseconds; 0 is none
        self._slow = settings["logSlow"] * 1_000_000
        self._limits = {}  # of requests on their way whose limit is not the usual one
        self._interrupt = None
        if settings["limits"]:
            from .. import interrupt

            self._interrupt = interrupt
        self._memory = None
        self._front = Front(settings, 1, host)
        self._board = self._front.board
        self._connection = None
        self._reader = None
        self._requests = {}  # those the front waits for, by id
        self.running = 0  # those whose application has not returned
        self._outbox = []
        self._outbox_octets = 0
        self.bodies = None  # memory for bodies that the front has, too
        self._flushing = False  # a flush is planned, or waits for the front to read
        self._rest = b""  # of what was written: the front has not read it
        self._writer = False
        self._send_lock = threading.Lock()
        self._drained = None
        self._front_gone = True
        self._state = None
        self._ended = False
        self._change = None  # what serve() waits for
        self._watcher = Watcher(self, self._board)

    # ---- its life

    async def serve(self):
        give_signals()
        lifespan = Lifespan(self._application, self.loop)
        self._state = lifespan.state
        try:
            await lifespan.startup()
        except StartupFailed as failure:
            report(failure.trace + failure.problem)
            return LOAD_FAILED
        if self._interrupt is not None:
            self._wake_by_signal()
        # It shows what the threads do, at once, and then what the tasks do.
        signal.signal(signal.SIGUSR2, self._tell_tasks)
        faulthandler.register(signal.SIGUSR2, file=2, chain=True)
        self._watcher.start()
        while not self._ended:
            if self._front_gone and not await self._find_front():
                break
            await self._changed()
        while self.running:
            await self._changed()
        while self._rest or self._outbox:
            await asyncio.sleep(0.001)
        await lifespan.shutdown()
        return 0

    async def _changed(self):
        self._change = self.loop.create_future()
        await self._change

    def _notify(self):
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    # ---- the front

    async def _find_front(self):
        """Says hello to the next front. False: there will be none."""
        wait = 0.005
        while self._front.may_come():
            try:
                self._connection = self._front.connect()
                self._connection.sendall(self._front.hello)
            except OSError:
                await asyncio.sleep(wait)  # there is none yet, or it has died at once
                wait = min(2 * wait, LOOK_LONGEST)
                continue
            self._connection.setblocking(False)
            self._reader = wire.FrameReader()
            self._limits.clear()
            self._board[0] = 0
            if self._settings["memory"]:
                from ..memory import Memory

                self._memory = Memory(self._settings["memory"])
            self._front_gone = False
            self.loop.add_reader(self._connection.fileno(), self._readable)
            if self._memory is not None:
                self._look_at_memory()
            return True
        return False

    def _lose_front(self):
        """It has died, and its clients with it."""
        if self._front_gone:
            return
        self._front_gone = True
        self.bodies = None
        self.loop.remove_reader(self._connection.fileno())
        if self._writer:
            self.loop.remove_writer(self._connection.fileno())
            self._writer = False
        with self._send_lock:
            self._rest = b""
            self._outbox.clear()
            self._outbox_octets = 0
        requests = list(self._requests.values())
        self._requests.clear()
        for request in requests:
            request.orphan()
        self._let_go()
        self._notify()

    def _readable(self):
        try:
            data = self._connection.recv(max(READ_SIZE, self._reader.missing))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose_front()
            return
        # What begins or goes on by these frames has its turn before the flush that is planned behind them: one planned by the first
        # answer would come a turn of the loop later, and that costs a look at all descriptors.
        self._flushing = True
        try:
            self._take(self._reader.feed(data))
        finally:
            self.loop.call_soon(self._flush_planned)

    def _take(self, frames):
        for frame in frames:
            type = frame[0]
            if type == wire.REQUEST:
                self._begin(frame)
                continue
            if type == wire.LIMIT:
                self._limits[frame[1]] = frame[2] * 1_000_000
                continue
            if type == wire.END:
                self._ended = True
                self._notify()
                continue
            if type == wire.SHARED_IN:
                self._share(frame[2])
                continue
            request = self._requests.get(frame[1])
            if request is None:
                continue  # it is over
            if type == wire.MESSAGE_IN:
                request.message(frame[2], frame[3])
            elif type == wire.BODY:
                request.body(frame[2], frame[3])
            elif type == wire.CREDIT:
                request.credit(frame[2])
            elif type == wire.CANCEL:
                request.leave()
            elif type == wire.INPUT_ENDED:
                request.end_input()
            elif type == wire.CLOSE_IN:
                request.closed(frame[2], frame[3])

    def _begin(self, frame):
        _, id, flags, shared, own, body = frame
        self._board[0] = id
        if flags & wire.FLAG_WEBSOCKET:
            request = WebSocket(self, id, websocket_scope(shared, own, self._state))
        else:
            request = Http(self, id, http_scope(shared, own, flags, self._state))
        if body or flags & wire.FLAG_BODY_FOLLOWS:
            try:
                request.take_body(flags, body)
            except OSError as error:  # no descriptor is left
                report("the body of %s cannot be read: %s\n" % (request, error))
                self.put(wire.frame(wire.FAIL, id))
                return
        if self._limits:
            request.limit = self._limits.pop(id, self._limit)
        elif self._limit:
            request.limit = self._limit
        self._requests[id] = request
        self.running += 1
        if self._watcher.parked:
            self._watcher.wake()
        coroutine = request.run(self._application)
        if EAGER:
            request.task = asyncio.Task(coroutine, loop=self.loop, eager_start=True)
        else:
            # A name that need not be made; from 3.12 on it is made only where somebody asks for it.
            request.task = asyncio.Task(coroutine, loop=self.loop, name="request")

    def _share(self, path):
        self._reader.bodies = self.bodies = bodies = shared_bodies(path)
        self.put(wire.frame(wire.SHARED, 0, wire.FLAG_HAS if bodies is not None else 0))

    def answer(self, id, frame, head=b"", payload=b""):
        """As put, of the last frame of an answer: the front waits for the request no longer."""
        self._requests.pop(id, None)
        self.put(frame, head, payload)
        if self._memory is not None:
            self._look_at_memory()

    def over(self):
        """An application has returned."""
        self.running -= 1
        if self._ended and not self.running:
            self._notify()

    def _look_at_memory(self):
        kib = self._memory.beyond()
        if kib:
            self.put(wire.frame(wire.RETIRE, 0, wall=kib))

    # ---- writing

    def put(self, frame, head=b"", payload=b""):
        """Octets of a whole frame. They are written when all that is ready has had its turn."""
        outbox = self._outbox
        if head or payload:
            outbox += (frame, head, payload)
            self._outbox_octets += len(payload)
        else:
            outbox.append(frame)
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush_planned)
        elif self._outbox_octets > OUTBOX_MOST:
            self.flush()

    def _flush_planned(self):
        self._flushing = False
        if self._outbox or self._rest:
            self.flush()

    def flush(self):
        """
        Writes what the front takes now. The watcher does so, too, while the loop is blocked: what comes into the outbox meanwhile, for
        the loop may be free again at any moment, stays there.
        """
        with self._send_lock:
            outbox = self._outbox
            if self._front_gone:
                outbox.clear()
                self._outbox_octets = 0
                return
            frames = outbox[:]
            del outbox[: len(frames)]
            self._outbox_octets = 0
            if self._rest:
                frames.insert(0, self._rest)
            data = b"".join(frames)
            if not data:
                return
            try:
                sent = self._connection.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                sent = len(data)  # it is seen where it is read
            self._rest = data[sent:] if sent < len(data) else b""
        if self._rest:
            if not self._writer and threading.get_ident() == self.thread:
                self._writer = True
                self.loop.add_writer(self._connection.fileno(), self._writable)
        elif self._drained is not None:
            self._let_go()

    def _writable(self):
        self.flush()
        if not self._rest and self._writer:
            self._writer = False
            self.loop.remove_writer(self._connection.fileno())

    @property
    def congested(self):
        return len(self._rest) > CONGESTED_FROM

    async def drained(self):
        """Waits until the front has read what was written."""
        if self._drained is None:
            self._drained = self.loop.create_future()
        await asyncio.shield(self._drained)

    def _let_go(self):
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # ---- limits

    def look(self, now):
        """Ten times a second while requests are executed: is one late?"""
        if self._interrupt is None:
            return
        for request in list(self._requests.values()):
            if request.late:
                continue
            taken = request.executing(now)
            if request.limit and taken >= request.limit:
                self._tell(request, 0)
                request.late = now
                request.leave()
                request.task.cancel()
            elif self._slow and taken >= self._slow and not request.told_slow:
                request.told_slow = True
                self._tell(request, wire.FLAG_SLOW)

    def _tell(self, request, flags):
        from .stack import stack_of

        try:
            stack = stack_of(request.task)
        except Exception as error:  # a source that cannot be read
            stack = "its stack cannot be told: %r\n" % error
        self.put(wire.frame(wire.LATE, request.id, flags, payload=stack.encode("utf-8", "backslashreplace")))

    def _tell_tasks(self, number, frame):
        from .stack import stack_of

        requests = {request.task: request for request in list(self._requests.values())}
        lines = []
        told = left = 0
        for task in asyncio.all_tasks(self.loop):
            stack = stack_of(task)
            if not stack:  # one of ours
                continue
            if told == TASKS_MOST:
                left += 1
                continue
            told += 1
            request = requests.get(task)
            scope = {} if request is None else request.scope
            what = "%s %s" % (scope.get("method", scope["type"]), scope.get("path")) if "type" in scope else task.get_name()
            lines.append("Task of %s (most recent call last):\n%s" % (what, stack))
        if left:
            lines.append("and %d more tasks\n" % left)
        try:
            sys.stderr.write("".join(lines))
        except Exception:
            pass  # the application may have closed or replaced it

    def look_blocked(self, now):
        """On the watcher's thread, while the loop is blocked: what blocks it may be late."""
        if self._interrupt is None:
            return
        task = asyncio.current_task(self.loop)
        for request in list(self._requests.values()):
            if request.task is not task or request.late or not request.limit or request.executing(now) < request.limit:
                continue
            stack = self._interrupt.stack_of(self.thread)
            request.late = now
            request.leave_quietly()
            frame = wire.frame(wire.LATE, request.id, 0, payload=stack.encode("utf-8", "backslashreplace"))
            with self._send_lock:
                self._outbox.append(frame)
            self.flush()
            signal.pthread_kill(self.thread, self._interrupt.WAKE)

    def _wake_by_signal(self):
        """Prepares this thread to be interrupted in what blocks the loop."""

        def interrupt(number, frame):
            # It comes when the task has gone on, too.
            task = asyncio.current_task(self.loop)
            for request in self._requests.values():
                if request.task is task and request.late and not request.interrupted:
                    request.interrupted = True
                    raise RequestTimeout("the request took longer than --request-timeout allows")

        signal.signal(self._interrupt.WAKE, interrupt)
