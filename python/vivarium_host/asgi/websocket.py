"""One WebSocket: a request until its application accepts it, and from then on messages both ways.

Life, by ``_state``: that of http.py's while it is a request, where websocket.close or websocket.http.response.start refuse it; OPEN from
websocket.accept, CLOSING from websocket.close, and DONE when the application has returned. What ends it is beside that: ``_disconnect``, the
code and reason of websocket.disconnect, which comes behind the messages that were received before.
"""

from collections import deque
from time import perf_counter_ns

from .. import wire
from ..wsgi import ClientGone
from .http import CREDIT_STEP, DONE, NOTHING, Http, no_message
from .scope import TOKEN, field_lines

OPEN, CLOSING = 5, 6

COST = 64  # octets that a message counts beyond its own
REASON_MOST = 123  # octets (RFC 6455 section 5.5)
ABNORMAL = (1006, "")
FORBIDDEN = {"status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"9")]}


class WebSocket(Http):
    _connected = False  # websocket.connect was given to the application
    _disconnect = None
    _wall = 0

    def __init__(self, worker, id, scope):
        super().__init__(worker, id, scope)
        self._messages = deque()

    # ---- what the front says

    def message(self, octets, text):
        self._messages.append((octets, text))
        self._wake()

    def closed(self, code, reason):
        self._close_with(code, reason.decode("utf-8", "replace"))

    def leave(self):
        self._close_with(*ABNORMAL)

    def end_input(self):
        self.leave()  # nobody half-closes a WebSocket

    def _close_with(self, code, reason):
        if self._disconnect is None:
            self._disconnect = (code, reason)
        super().leave()

    # ---- what the application asks

    async def receive(self):
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        messages = self._messages
        while not messages:
            if self._disconnect is not None:
                code, reason = self._disconnect
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            if self._state == OPEN or self._state == CLOSING:
                await self._changed()
            elif self._state == DONE:
                self._disconnect = ABNORMAL  # it was refused
            else:
                await self._client()
        octets, text = messages.popleft()
        self._taken += len(octets) + COST
        if self._taken >= CREDIT_STEP:
            self._worker.put(wire.frame(wire.BODY_CREDIT, self.id, wall=self._taken))
            self._taken = 0
        if text:
            return {"type": "websocket.receive", "text": octets.decode()}
        return {"type": "websocket.receive", "bytes": octets}

    async def send(self, message):
        try:
            type = message["type"]
        except (TypeError, KeyError):
            raise no_message(message) from None
        if self.gone:
            raise ClientGone("the client left")
        state = self._state
        if type == "websocket.send":
            if state == OPEN:
                await self._send_message(message)
                return
        elif type == "websocket.accept":
            if state == NOTHING:
                self._accept(message)
                return
        elif type == "websocket.close":
            if state == OPEN:
                self._close_now(message)
                return
            if state == NOTHING:
                self._start(FORBIDDEN)
                self._put(b"Forbidden", True)
                return
        elif type == "websocket.http.response.start" or type == "websocket.http.response.body":
            if state != OPEN and state != CLOSING:
                await super().send(dict(message, type=type[len("websocket.") :]))
                return
        else:
            raise RuntimeError("%r is no message to a WebSocket" % (type,))
        raise RuntimeError(_out_of_order(type, state))

    def _accept(self, message):
        headers = message.get("headers") or ()
        lines, _, _ = field_lines(headers, "websocket.accept")
        for name, _ in headers:
            if name.lower().startswith(b"sec-websocket-"):
                raise ValueError(
                    "the headers of websocket.accept have %r, which is the server's to send; a subprotocol is given as subprotocol" % (name,)
                )
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if not isinstance(subprotocol, str) or TOKEN(subprotocol.encode("utf-8", "replace")) is None:
                raise ValueError("websocket.accept has the subprotocol %r, which is no name of one" % (subprotocol,))
            lines += b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n"
        head = b"\r\n" + lines
        self._state = OPEN
        self._wall = (perf_counter_ns() - self.begun) // 1000
        # It lasts as long as its two sides want: there is no limit for that.
        self.limit = 0
        self.told_slow = True
        self._room = self._worker.response_memory
        self._worker.put(wire.frame(wire.RESPONSE, self.id, status=101, head=len(head), payload=head))

    async def _send_message(self, message):
        text = message.get("text")
        if text is not None:
            if not isinstance(text, str):
                raise TypeError("the text of websocket.send is a str, not %s" % text.__class__.__name__)
            octets = text.encode()
            flags = wire.FLAG_TEXT
        else:
            octets = message.get("bytes")
            if octets.__class__ is not bytes:
                if octets is None:
                    raise ValueError("websocket.send has neither text nor bytes")
                if not isinstance(octets, (bytearray, memoryview)):
                    raise TypeError("the bytes of websocket.send are a byte string, not %s" % octets.__class__.__name__)
                octets = bytes(octets)
            flags = 0
        size = len(octets) + COST
        # A message may be larger than all the room there ever is: CREDIT comes in steps of a quarter.
        while size > self._room <= self._worker.response_memory * 3 // 4:
            await self._changed()
            if self.gone:
                raise ClientGone("the client left")
            if self._state != OPEN:
                raise RuntimeError(_out_of_order("websocket.send", self._state))
        self._room -= size
        worker = self._worker
        worker.put(wire.TO_FRONT.pack(size - COST, self.id, wire.MESSAGE, flags, 0, 0, 0, 0), octets)
        if worker.congested:
            await worker.drained()

    def _close_now(self, message):
        code = message.get("code", 1000)
        if code is None:
            code = 1000
        if isinstance(code, bool) or not isinstance(code, int) or not _may_be_sent(code):
            raise ValueError("websocket.close has the code %r; it takes one from 1000 to 1014 or 3000 to 4999" % (code,))
        reason = message.get("reason") or ""
        if not isinstance(reason, str):
            raise TypeError("the reason of websocket.close is a str, not %s" % type(reason).__name__)
        octets = reason.encode()
        if len(octets) > REASON_MOST:
            raise ValueError("the reason of websocket.close has %d octets; %d is the most" % (len(octets), REASON_MOST))
        self._state = CLOSING
        self._worker.put(wire.frame(wire.CLOSE, self.id, status=code, payload=octets))

    # ---- the call

    def _unfinished(self):
        if self._state != OPEN and self._state != CLOSING:
            super()._unfinished()

    def _conclude(self):
        if self._state != OPEN and self._state != CLOSING:
            super()._conclude()
            return
        self._state = DONE
        code = 1011 if self.failed else 1000
        wall = min(self._wall, wire.MICROSECONDS_MOST)
        self._worker.answer(self.id, wire.frame(wire.CLOSE, self.id, wire.FLAG_LAST, code, wall=wall))


def _may_be_sent(code):
    """RFC 6455 section 7.4."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def _out_of_order(type, state):
    if state == CLOSING or state == DONE:
        return "%s comes after the WebSocket was closed" % type
    if state == OPEN:
        return "%s comes after websocket.accept" % type
    if state == NOTHING:
        return "%s comes before websocket.accept" % type
    return "%s comes after websocket.http.response.start" % type
