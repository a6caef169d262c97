"""The Python side of embedded mode: an interpreter inside a front, which calls it on its main thread.

The front (src/python/embedded/) calls three functions that live here, ``begin``, ``step`` and ``leave``, by the addresses
that ctypes gives them; ctypes takes the GIL for the length of a call. Requests come in one piece of memory and responses go
back in another, both the front's. While Python runs nothing of the front does, so there is never more than one call.

``begin`` is given all requests that came at once, in a table: one call for many, and the processor has not to fetch the
interpreter's code anew for each. It returns how many of them it has run: no more when that takes long, for their clients
wait, nor when there is little room for further responses, or a response goes on.

The result of a request is a number, and where in the response's memory there is what it tells of. The number is that of what
``step`` and ``leave`` return, too, which put theirs at the beginning: flags, from bit 8 the number of a head that the front
knows, from bit 24 the octets of the body that are there::

    BEGUN   the response begins, with the head of that number
    NEW     the head is in the memory before the body (HEAD); the front is to keep it by the number, unless that is 0
    LAST    the body is whole
    MORE    ``step`` is to be called once the client has taken this
    SOON    ``step`` is to be called at once: for the client the response is whole, and the application tidies up
    FAILED  the response cannot be finished
"""

import ctypes
import faulthandler
import json
import os
import signal
import struct
import sys
import threading
import traceback
from time import perf_counter_ns

from . import guest
from .forked import close_connections, give_signals
from .load import LoadError, load, prepare
from .wsgi import ClientGone, Host, report

BEGUN = 1
LAST = 2
MORE = 4
FAILED = 8
NEW = 16
SOON = 32
HEAD_SHIFT = 8
BODY_SHIFT = 24
BODY_IN_FILE = 1
KNOWN = 2
NUMBER_SHIFT = 8

# A request in the table: its id, as far as its variables are shared, octets of variables, octets or descriptor of the body, flags.
ENTRY = struct.Struct("<IIIII")
# Nanoseconds after which those that were begun are answered before another is.
BUDGET = 500_000
# What ``begin`` adds to the number of requests it has run, where it took that long.
LATE = 0x10000

# Before a head in the memory: status, flags (wire.FLAG_HAS_…), octets. The body is behind it.
HEAD = struct.Struct("<III")
# Heads that the front keeps, by their number.
HEADS_MOST = 512
HEAD_MOST = 2048

BEGIN = ctypes.CFUNCTYPE(ctypes.c_longlong, ctypes.c_uint)
STEP = ctypes.CFUNCTYPE(ctypes.c_longlong, ctypes.c_uint)
END = ctypes.CFUNCTYPE(ctypes.c_longlong)
ATTACH = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t)
TAKE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_longlong, ctypes.c_uint, ctypes.c_uint)
TELL = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class Reply:
    """A request's way back to the front: what ``wsgi.Call`` calls ``out``."""

    _left = None  # octets of a block that is larger than the memory
    _last = False
    _urgent = False
    result = 0  # what the front is to be told; 0: nothing

    def __init__(self, bridge):
        self._bridge = bridge

    def respond(self, status, flags, head, body, last, urgent):
        bridge = self._bridge
        number = bridge.heads.get((status, head))
        if number is None:
            at, number = bridge.put_head(status, flags, head)
            self._put(BEGUN | NEW | number << HEAD_SHIFT, at, body, last, urgent)
        else:
            self._put(BEGUN | number << HEAD_SHIFT, 0, body, last, urgent)

    def data(self, octets, last, urgent):
        self._put(0, 0, octets, last, urgent)

    def fail(self):
        self._left = None
        self.result = FAILED

    def write(self, emit, octets):
        bridge = self._bridge
        if threading.get_ident() != bridge.main:
            raise RuntimeError("write() was called from another thread than the application; embedded mode cannot do that")
        emit(octets)
        while True:
            if bridge.process.forked:
                end_child()
            result = self.result
            self.result = 0
            if bridge.take(result, bridge.index, bridge.at):
                self._left = None
                raise ClientGone("the client left")
            if not self.more():
                return

    def _put(self, result, at, octets, last, urgent):
        memory = self._bridge.memory
        at += self._bridge.at
        size = len(octets)
        room = len(memory) - at
        if size > room:
            memory[at:] = octets[:room]
            self._left = memoryview(octets)[room:]
            self._last = last
            self._urgent = urgent
            self.result = result | MORE | room << BODY_SHIFT
            return
        end = at + size
        memory[at:end] = octets
        self._bridge.end = end
        self.result = result | (LAST if last else MORE if urgent else SOON | MORE) | size << BODY_SHIFT

    def more(self):
        """Whether a block was larger than the memory: its next piece is there now."""
        octets = self._left
        if octets is None:
            return False
        self._left = None
        self._put(0, 0, octets, self._last, self._urgent)
        return True


class Process:
    """This process: the front's, or one that the application forked from it."""

    def __init__(self, listeners):
        self.forked = False
        self._listeners = listeners
        os.register_at_fork(after_in_child=self._on_fork)
        give_signals()

    def _on_fork(self):
        self.forked = True
        close_connections(self._listeners)


class Bridge:
    """What the front calls, and the memory both share."""

    def __init__(self, host, settings, process):
        self._host = host
        self.main = threading.get_ident()
        self.take = TAKE(settings["take"])
        self.index = 0  # in the table: the request that is run
        self.at = 0  # in the response's memory: where what it answers begins
        self.end = 0  # and ends
        self._read = 0  # in the request's memory: where the next request is
        self._environs = {}  # by number: environments that come again
        self._rests = {}  # by request: the generator of what is still to come, and its Reply
        self.heads = {}  # by status and head: the number by which the front knows it
        self.memory = memoryview((ctypes.c_char * settings["responseSize"]).from_address(settings["response"])).cast("B")
        most = settings["most"]
        self._table = (ctypes.c_char * (ENTRY.size * most)).from_address(settings["table"])
        self._results = memoryview((ctypes.c_double * (2 * most)).from_address(settings["results"])).cast("B").cast("d")
        self._full = len(self.memory) // 2
        self._request = None
        self.attach(settings["request"], settings["requestSize"])
        self.process = process
        # ctypes' functions live as long as somebody holds them.
        self.functions = {
            "begin": BEGIN(self.begin),
            "step": STEP(self.step),
            "leave": STEP(self.leave),
            "attach": ATTACH(self.attach),
            "end": END(self.stop),
        }

    def attach(self, address, size):
        """The front has new memory for requests."""
        self._request = (ctypes.c_char * size).from_address(address)

    def put_head(self, status, flags, head):
        """Writes a head to the memory: how far it goes, and the number the front is to keep it by, 0 for none."""
        end = HEAD.size + len(head)
        memory = self.memory
        at = self.at
        most = len(memory) - self._full
        if end > most:
            raise ValueError("the response's header fields have %d octets; embedded mode sends %d" % (len(head), most))
        HEAD.pack_into(memory, at, status, flags, len(head))
        memory[at + HEAD.size : at + end] = head
        if len(head) > HEAD_MOST:
            return end, 0
        heads = self.heads
        if len(heads) == HEADS_MOST:
            heads.clear()
        number = heads[status, head] = len(heads) + 1
        return end, number

    def begin(self, count):
        """Runs the first requests of the table."""
        results = self._results
        self.at = self.end = self._read = 0
        until = perf_counter_ns() + BUDGET
        for index in range(count):
            self.index = index
            try:
                result = self._begin(*ENTRY.unpack_from(self._table, index * ENTRY.size))
            except BaseException:  # out of memory, in the midst of this package
                report(traceback.format_exc())
                result = FAILED
            results[2 * index] = result
            results[2 * index + 1] = self.at
            if result & MORE or self.end > self._full:
                return index + 1
            if perf_counter_ns() > until:
                return index + 1 | LATE
            self.at = self.end
        return count

    def _begin(self, id, shared, variables, body, flags):
        """Runs a request: what it came to.

        Its variables are in the memory where those of the one before end, the body is behind them, or a descriptor. With a number in
        flags the variables are kept by it, or with KNOWN are those that were, and not in the memory.
        """
        host = self._host
        at = self._read
        number = flags >> NUMBER_SHIFT
        if flags & KNOWN:
            environ = self._environs[number].copy()
        else:
            request = self._request
            behind = at + shared
            environ = host.environ(request[at:behind], request[behind + 1 if shared else at : at + variables])
            if number:
                self._environs[number] = environ.copy()
            at += variables
        if not body:
            content = b""
        elif flags & BODY_IN_FILE:
            content = "/proc/self/fd/%d" % body
        else:
            content = self._request[at : at + body]
            at += body
        self._read = at
        reply = Reply(self)
        rest = host.begin(environ, content, flags & BODY_IN_FILE, reply)
        if rest is not None:
            resume(rest, reply)
        return self._tell(id, rest, reply)

    def step(self, id):
        rest, reply = self._rests.pop(id)
        self.index = self.at = 0
        reply.result = 0
        if not reply.more():
            resume(rest, reply)
        return self._tell(id, rest, reply)

    def leave(self, id):
        """The client of a request that goes on has left."""
        rest, _ = self._rests.pop(id)
        if rest is not None:
            try:
                rest.throw(ClientGone("the client left"))
            except StopIteration:
                pass
        if self.process.forked:
            end_child()
        return 0

    def _tell(self, id, rest, reply):
        if self.process.forked:
            end_child()
        result = reply.result
        if result & MORE:
            self._rests[id] = (rest, reply)
        return result

    def stop(self):
        """The server stops."""
        try:
            guest.end()
        except BaseException:  # whatever the application left to be called
            report(traceback.format_exc())
        return 0


def resume(rest, reply):
    """Until there is something to tell: not every block has octets that are sent."""
    for _ in rest:
        if reply.result:
            return


def end_child():
    """Of a process that the application forked, only Python may run: the front's loop is its parent's."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(0)


def boot(settings):
    """Loads the application, and tells the front where what it calls is."""
    tell = TELL(settings["tell"])
    for stream in range(3):
        os.set_inheritable(stream, True)  # Node has it otherwise, and programs without an output fail
    # A crash takes the front with it, and so does the supervisor where the application never returns. Where that was is then
    # all there is to find the reason by.
    faulthandler.enable()
    faulthandler.register(signal.SIGRTMAX)
    guest.keep_signals()
    process = Process(settings["listeners"])
    prepare(settings["target"], settings["chdir"])
    problem = None
    try:
        application, name, interface = load(settings["target"], settings["interface"])
        if interface == "asgi":
            raise LoadError(
                "The application %s is an ASGI application, and --embedded runs WSGI applications: leave it out." % settings["target"]
            )
    except LoadError as error:
        problem = error
    if process.forked:
        end_child()
    if problem is not None:
        tell(json.dumps({"loaded": False, "problem": problem.problem, "traceback": problem.trace}).encode())
        return
    bridge = Bridge(Host(application, False, settings["workers"] > 1), settings, process)
    boot.bridge = bridge
    addresses = {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in bridge.functions.items()}
    tell(
        json.dumps(
            {
                "loaded": True,
                "python": sys.version.split()[0].rstrip("+"),
                "application": name,
                "addresses": addresses,
            }
        ).encode()
    )
