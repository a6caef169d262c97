"""One HTTP request: what its application is given as ``receive`` and ``send``, and what becomes of it.

Life of a response, by ``_state``: NOTHING, then STARTED by http.response.start, whose head waits for the first octets of the body
(so that what fails before is still answered with 500), then SENDING, and DONE; TRAILERS between these where the application announced
some. ``gone`` is beside it: the client has left, or was answered by others, and nobody is told anything any more.
"""

import asyncio
import os
import traceback
from time import perf_counter_ns

from .. import RequestTimeout, wire
from ..shared import LEAST
from ..wsgi import ERROR_BODY, ERROR_HEAD, ClientGone, report
from .scope import announced, field_lines, response_head

PACK = wire.TO_FRONT.pack
RESPONSE = wire.RESPONSE
DATA = wire.DATA
LAST = wire.FLAG_LAST

NOTHING, STARTED, SENDING, TRAILERS, DONE = range(5)

STEP = 262144  # octets of a large body sent in one frame
CREDIT_STEP = 32768  # octets of a request's body that are taken before the front is told
FILE_STEP = 65536  # octets of a body in a file given in one message


class Http:
    """A request, from its frame to the end of the application's call."""

    # What most requests never change is not theirs: making it would cost more than all the rest.
    task = None
    gone = False
    _input_ended = False  # the client ended its side: it has left, or still reads
    failed = False  # the application raised
    late = 0  # when it was found to be late; 0 if it was not
    interrupted = False
    told_slow = False
    limit = 0  # nanoseconds it may be executed; 0 is none
    _waits_since = 0  # it waits for its client, whose time is not the application's
    _state = NOTHING
    _head = None
    _sent = 0
    _trailers = False
    _trailer_lines = b""
    _body = b""  # octets that came and were not given
    _more = False  # further octets will come
    _file = None
    _over = False  # the last of it was given to the application
    _asked = False  # the front knows that the application takes it
    _taken = 0  # octets given and not told to the front
    _waiters = ()

    def __init__(self, worker, id, scope):
        self._worker = worker
        self.id = id
        self.scope = scope
        self._room = worker.response_memory  # octets of the body that the front has room for
        self.begun = perf_counter_ns()

    def take_body(self, flags, body):
        """What the request's frame says of its body, where it has one."""
        if flags & wire.FLAG_BODY_IN_FILE:
            self._file = open(body, "rb", 0)
            self._more = True
        else:
            self._body = body
            self._more = bool(flags & wire.FLAG_BODY_FOLLOWS)

    # ---- what the front says

    def body(self, octets, last):
        if octets:
            # An application that is slow has a list of pieces, joined when it asks.
            if self._body:
                if type(self._body) is bytes:
                    self._body = [self._body]
                self._body.append(octets)
            else:
                self._body = octets
        if last:
            self._more = False
        self._wake()

    def credit(self, octets):
        self._room += octets
        self._wake()

    def leave(self):
        """The client left, or was answered by others."""
        self.gone = True
        self._wake()

    def end_input(self):
        self._input_ended = True
        self._wake()

    def leave_quietly(self):
        """As leave, on another thread than the loop's: who waits is woken later, or never, as what blocks the loop does not wait."""
        self.gone = True

    def orphan(self):
        """The front is gone: what is said to it is said to nobody."""
        self._state = DONE
        self.leave()

    def _wake(self):
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def _changed(self):
        waiter = self._worker.loop.create_future()
        self._waiters = (*self._waiters, waiter)
        await waiter

    async def _client(self):
        """As _changed, where it is the client that is waited for: that is not the application's time."""
        if self._waits_since:  # so does another of its tasks
            await self._changed()
            return
        self._waits_since = perf_counter_ns()
        try:
            await self._changed()
        finally:
            self.begun += perf_counter_ns() - self._waits_since
            self._waits_since = 0

    def executing(self, now):
        """Nanoseconds the application has taken so far."""
        return (self._waits_since or now) - self.begun

    @property
    def method(self):
        return self.scope.get("method", "GET")  # a WebSocket's scope has none

    @property
    def answered(self):
        return self._state == DONE

    # ---- what the application asks

    async def receive(self):
        while not self.gone and self._state != DONE:
            if self._body or self._file is not None or not (self._more or self._over):
                return self._request()
            if self._over:
                if self._input_ended:
                    self.gone = True  # for who asks
                else:
                    await self._changed()  # until the client leaves
            else:
                if self._taken or not self._asked:
                    # 0: a client that waits for 100 (Continue) is to get it.
                    self._asked = True
                    self._worker.put(wire.frame(wire.BODY_CREDIT, self.id, wall=self._taken))
                    self._taken = 0
                await self._client()
        return {"type": "http.disconnect"}

    def _request(self):
        if self._file is not None:
            octets = self._file.read(FILE_STEP)
            if not octets or self._file.tell() >= os.fstat(self._file.fileno()).st_size:
                self._close_file()
                self._more = False
        else:
            octets = self._body
            if type(octets) is list:
                octets = b"".join(octets)
            self._body = b""
            if self._more:
                self._asked = True
                self._taken += len(octets)
                if self._taken >= CREDIT_STEP:
                    self._worker.put(wire.frame(wire.BODY_CREDIT, self.id, wall=self._taken))
                    self._taken = 0
        self._over = not self._more
        return {"type": "http.request", "body": octets, "more_body": self._more}

    def _close_file(self):
        if self._file is not None:
            self._file.close()
            self._file = None

    async def send(self, message):
        try:
            type = message["type"]
        except (TypeError, KeyError):
            raise no_message(message) from None
        if self.gone:
            raise ClientGone("the client left")
        if type == "http.response.body":
            state = self._state
            if state == STARTED or state == SENDING:
                body = message.get("body", b"")
                if body.__class__ is not bytes:
                    body = _octets(body)
                more = message.get("more_body", False)
                if state == STARTED and not more and not self._trailers:
                    size = len(body)
                    status, flags, head, length = self._head
                    if size <= self._room and (length == size or length < 0):
                        # What nearly every application does.
                        self._end(RESPONSE, flags | LAST, status, head, body)
                        return
                await self._send_body(body, more)
                return
        elif type == "http.response.start":
            if self._state == NOTHING:
                self._start(message)
                return
        elif type == "http.response.pathsend":
            if self._state == STARTED:
                self._path(message)
                return
        elif type == "http.response.trailers":
            if self._state == TRAILERS:
                self._trail(message)
                return
        elif type == "http.response.early_hint":
            if self._state == NOTHING:
                self._hint(message)
                return
        else:
            raise RuntimeError("%r is no message that answers an HTTP request" % (type,))
        raise RuntimeError(_out_of_order(type, self._state))

    def _start(self, message):
        self._head = response_head(message)
        if message.get("trailers"):
            self._trailers = True
            headers = message.get("headers", ())
            if "http.response.trailers" in self.scope["extensions"] and isinstance(headers, (list, tuple)):
                self._head = announced(self._head, headers)
        self._state = STARTED

    def _without_body(self):
        """Whether the body is not sent, whatever it is: then its length says nothing of it."""
        return self.method == "HEAD" or self._head[0] in (204, 205, 304)

    async def _send_body(self, body, more):
        """Sends octets of the body, the head before the first, as the front has room for them."""
        length = self._head[3]
        size = len(body)
        if length >= 0 and not self._without_body():
            sent = self._sent + size
            if sent > length:
                raise RuntimeError("the body is longer than content-length says (%d octets)" % length)
            if not more and sent < length:
                raise RuntimeError("the body ended after %d octets, and content-length says %d" % (sent, length))
        last = not more and not self._trailers
        position = 0
        while size - position > self._room:
            step = min(self._room, STEP)
            if step > 0:
                self._put(body[position : position + step], False)
                position += step
            else:
                await self._client()
                if self.gone:
                    raise ClientGone("the client left")
        if position:
            body = body[position:]
        self._put(body, last)
        if not last:
            if not more:
                self._state = TRAILERS
            if self._worker.congested:
                await self._worker.drained()

    def _put(self, octets, last):
        """Octets that there is room for, in one frame."""
        size = len(octets)
        self._room -= size
        self._sent += size
        if self._state == STARTED:
            status, flags, head, _ = self._head
            if last:
                self._end(wire.RESPONSE, flags | wire.FLAG_LAST, status, head, octets)
            else:
                self._state = SENDING
                self._worker.put(
                    PACK(len(head) + size, self.id, wire.RESPONSE, flags, status, len(head), 0, 0),
                    head,
                    octets,
                )
        elif last:
            self._end(wire.DATA, wire.FLAG_LAST, 0, b"", octets)
        elif size:
            type = DATA
            if size >= LEAST and self._worker.bodies is not None:
                type, octets = self._worker.bodies.place(type, octets)
            self._worker.put(PACK(len(octets), self.id, type, 0, 0, 0, 0, 0), octets)

    def _end(self, type, flags, status, head, payload):
        """The frame with which the response is whole."""
        wall = (perf_counter_ns() - self.begun) // 1000
        if wall > wire.MICROSECONDS_MOST:
            wall = wire.MICROSECONDS_MOST
        size = len(head)
        self._state = DONE
        id = self.id
        if len(payload) >= LEAST and type <= DATA and self._worker.bodies is not None:
            type, payload = self._worker.bodies.place(type, payload)
        self._worker.answer(id, PACK(size + len(payload), id, type, flags, status, size, wall, 0), head, payload)
        if self._waiters:
            self._wake()

    def _path(self, message):
        path = message.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError("http.response.pathsend has the path %r; it takes an absolute one, as a str" % (path,))
        status, flags, head, _ = self._head
        self._end(wire.PATH, flags, status, head, os.fsencode(path))

    def _trail(self, message):
        lines, _, _ = field_lines(message.get("headers", ()), "http.response.trailers")
        self._trailer_lines += lines
        if not message.get("more_trailers", False):
            self._end(wire.TRAILERS, 0, 0, b"", self._trailer_lines)

    def _hint(self, message):
        lines, _, _ = field_lines([(b"link", link) for link in message.get("links", ())], "http.response.early_hint")
        self._worker.put(wire.frame(wire.INFORM, self.id, status=103, payload=lines))

    # ---- the call

    async def run(self, application):
        """What the request's task executes."""
        try:
            await application(self.scope, self.receive, self.send)
            if self._state != DONE and not self.gone:
                self._unfinished()
        except (ClientGone, RequestTimeout):
            pass  # of the latter the log has the stack
        except asyncio.CancelledError:
            self.failed = True
            if self._state != DONE and not self.gone:
                report("the application cancelled its own task while answering %s\n" % self)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are no reason to end a worker either
            self.failed = True
            if not (self.gone and _comes_of_leaving(error)):
                report("exception while answering %s\n%s" % (self, _traceback(error)))
        finally:
            self._close_file()
            if self._state != DONE:
                self._conclude()
            self._worker.over()

    def _unfinished(self):
        what = "an answer" if self._state == NOTHING else "the end of its answer"
        report("the application returned without %s to %s\n" % (what, self))

    def _conclude(self):
        """The application will say nothing more, and the response is not whole."""
        if self.late:
            self._state = DONE
            self._worker.answer(self.id, wire.frame(wire.LATE, self.id, wire.FLAG_OVER))
        elif self._state < SENDING and not self.gone:
            self._end(wire.RESPONSE, wire.FLAG_LAST | wire.FLAG_HAS_LENGTH, 500, ERROR_HEAD, ERROR_BODY)
        else:
            self._end(wire.FAIL, 0, 0, b"", b"")

    def __str__(self):
        scope = self.scope
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        return "%s %s" % (self.method, target.decode("latin-1"))


def _comes_of_leaving(error):
    """Whether it was raised because send() said that the client left: frameworks make an exception of their own of that."""
    seen = set()
    causes = [error]
    while causes:
        error = causes.pop()
        if isinstance(error, ClientGone):
            return True
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        # Task groups raise several as one.
        causes += (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    return False


def _traceback(error):
    """From the application's first line on."""
    trace = error.__traceback__
    if trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _octets(body):
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError("the body of http.response.body is to be a byte string, not %s" % type(body).__name__)


def no_message(message):
    if isinstance(message, dict):
        return ValueError("a message has a type, and this one none: %r" % (message,))
    return TypeError("send() takes a message, which is a dict, not %s" % type(message).__name__)


def _out_of_order(type, state):
    if state == DONE:
        return "%s comes after the response was complete" % type
    if type == "http.response.start":
        return "http.response.start comes a second time"
    if state == NOTHING:
        return "%s comes before http.response.start" % type
    if type == "http.response.early_hint":
        return "http.response.early_hint comes after http.response.start"
    if state == TRAILERS:
        return "%s comes after the body was complete; http.response.trailers was announced" % type
    if type == "http.response.trailers":
        return "http.response.trailers comes without trailers in http.response.start, or before the body was complete"
    return "%s comes in the middle of the body" % type
