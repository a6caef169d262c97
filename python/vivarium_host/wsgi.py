"""Calls a WSGI application (PEP 3333). One code for daemon and embedded mode: how octets travel is the affair of ``out``.

``out`` is what a request's response is told to; it has four methods::

    respond(status, flags, head, body, last, urgent)  begins the response; head as in the wire's RESPONSE frame
    data(octets, last, urgent)                        further octets of the body; urgent: do not hold them back
    fail()                                            the response cannot be finished
    write(emit, octets)                               calls emit(octets), which calls the first two; no octet is held back

All but fail raise ClientGone once the client has left. All raise RequestTimeout in a request that took too long and was answered
by others.
"""

import re
import sys
from io import BytesIO

from . import RequestTimeout, wire

# RFC 9110 section 7.6.1: fields that speak of one connection. PEP 3333 forbids them to applications.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# Visible octets, spaces, tabs and obs-text (RFC 9110 section 5.5): no CR, LF, NUL or other control octet.
VALUE = re.compile(r"[\t -~\x80-\xff]*").fullmatch
STATUS = re.compile(r"([2-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?").fullmatch
DIGITS = re.compile(r"[0-9]{1,18}").fullmatch

# Applications answer with few different heads: the encoded ones are kept.
HEADS_MOST = 512
# Before each line that this package writes to the log, so that it is told from the application's output.
ERROR_MARK = "\x1f"
# Connections whose part of the environment is kept.
PARTS_MOST = 512
_heads = {}

ERROR_BODY = b"Internal Server Error\n\nThe application failed to answer this request. Its log says why.\n"
ERROR_HEAD = b"Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n" % len(ERROR_BODY)


class ClientGone(OSError):
    """The client left, so the response has no reader."""


class FileWrapper:
    """``wsgi.file_wrapper``: an iterable over the blocks of a file-like object."""

    # Larger blocks than the application suggests cost nothing here and save a frame each.
    LEAST = 128 * 1024

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = max(block_size, self.LEAST)
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration


def encode_head(status, headers):
    """Validates and encodes status and headers: ``(status, flags, head, content length or -1)``.

    Raises TypeError or ValueError with a sentence for the application's author.
    """
    if type(status) is not str and not isinstance(status, str):
        raise TypeError("the status given to start_response is %s, not str" % type(status).__name__)
    match = STATUS(status)
    if match is None:
        raise ValueError("%r is not a status: three digits from 200, a space and a reason are expected" % (status,))
    if not isinstance(headers, list):
        raise TypeError("the headers given to start_response are %s, not a list" % type(headers).__name__)
    flags = 0
    length = -1
    lines = [match.group(2) or "", "\r\n"]
    for header in headers:
        if not isinstance(header, tuple) or len(header) != 2:
            raise TypeError("a header is a tuple (name, value), not %r" % (header,))
        name, value = header
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("name and value of a header are str, not %r" % (header,))
        if TOKEN(name) is None:
            raise ValueError("%r is not a header name" % (name,))
        if VALUE(value) is None:
            raise ValueError("the value of the header %s has characters that a header cannot have: %r" % (name, value))
        lowered = name.lower()
        if lowered == "content-length":
            if DIGITS(value.strip()) is None:
                raise ValueError("Content-Length is %r, not a number of octets" % (value,))
            if length >= 0 and length != int(value):
                raise ValueError("Content-Length is given twice, and differently")
            if length >= 0:
                continue
            length = int(value)
            flags |= wire.FLAG_HAS_LENGTH
        elif lowered == "date":
            flags |= wire.FLAG_HAS_DATE
        elif lowered in HOP_BY_HOP:
            raise ValueError("the header %s speaks of the connection, which is the server's (PEP 3333)" % name)
        lines += (name, ": ", value, "\r\n")
    return int(match.group(1)), flags, "".join(lines).encode("latin-1"), length


def report(text):
    """Writes to the server's log, as an error. The application may have closed or replaced sys.stderr: its request is to be answered all the same."""
    try:
        sys.stderr.write("".join(ERROR_MARK + line + "\n" for line in text.rstrip("\n").split("\n")))
    except Exception:
        pass  # there is no other place to say so


class Call:
    """One call of the application: the state behind ``start_response`` and ``write``."""

    __slots__ = ("_out", "_method", "_head", "_begun", "_length", "_sent", "_excess")

    def __init__(self, out, method):
        self._out = out
        self._method = method
        self._head = None
        self._begun = False
        self._length = -1
        self._sent = 0
        self._excess = False

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._head is not None:
            raise AssertionError("start_response was called twice without exc_info (PEP 3333)")
        head = key = None
        if type(headers) is list:
            try:
                key = (status, *headers)
                head = _heads.get(key)
            except TypeError:
                key = None  # something in it cannot be hashed: encode_head says what
        if head is None:
            head = encode_head(status, headers)
            # Equal keys need not mean equal rights: 1 == True == 1.0, so only what has passed is kept, which is str.
            if key is not None and len(head[2]) < 2048:
                if len(_heads) >= HEADS_MOST:
                    _heads.clear()
                _heads[key] = head
        self._head = head
        return self.write

    def write(self, data):
        """The callable that start_response returns."""
        if not isinstance(data, bytes):
            raise TypeError("write() takes bytes, not %s" % type(data).__name__)
        # PEP 3333 has write() send the header even before an empty string's nothing.
        self._out.write(self._emit, data)

    def _emit(self, data, last=False):
        """Sends octets of the body, the head before the first."""
        if self._head is None:
            raise AssertionError("the application gave a body before it called start_response (PEP 3333)")
        if not self._begun:
            self._length = self._head[3]
        length = self._length
        if length >= 0:
            room = length - self._sent
            if len(data) > room:
                # RFC 9110 section 8.6: what exceeds the length would be read as the next response.
                data = data[:room]
                self._excess = True
            # With its length reached the response is whole for the client; the rest is the application's tidying up.
            urgent = len(data) < room
        else:
            urgent = True
        self._sent += len(data)
        if self._begun:
            if data or last:
                self._out.data(data, last, urgent and not last)
        else:
            self._begun = True
            status, flags, head, _ = self._head
            self._out.respond(status, flags, head, data, last, urgent and not last)

    def begin(self, application, environ):
        """Calls the application. Returns None where the response is whole, else a generator that sends what is left of it."""
        result = application(environ, self.start_response)
        kind = type(result)
        if (kind is not list and kind is not tuple) or self._begun:
            return self._blocks(result, environ)
        # The whole body is there: one frame.
        body = result[0] if len(result) == 1 else b"".join(result)
        if type(body) is not bytes and not isinstance(body, bytes):
            raise TypeError("the application's iterable gave %s, not bytes" % type(body).__name__)
        head = self._head
        if head is not None and (head[3] < 0 or head[3] == len(body)):
            # What nearly every application does.
            self._begun = True
            self._out.respond(head[0], head[1], head[2], body, True, False)
            return None
        self._emit(body, True)
        self._compare(environ)
        return None

    def _blocks(self, result, environ):
        """Sends a block of the body each time it is resumed, and in the end tidies up."""
        try:
            for data in result:
                if not isinstance(data, bytes):
                    raise TypeError("the application's iterable gave %s, not bytes" % type(data).__name__)
                if data:
                    self._emit(data)
                    yield
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        self._emit(b"", True)
        self._compare(environ)

    def _compare(self, environ):
        """Tells the log where the body was not as long as the application said."""
        if self._excess or (self._length > self._sent and self._method != "HEAD" and self._head[0] not in (204, 304)):
            report(
                "the application said Content-Length: %d for %s %s and gave %s octets\n"
                % (
                    self._length,
                    environ.get("REQUEST_METHOD"),
                    environ.get("REQUEST_URI"),
                    "more" if self._excess else self._sent,
                )
            )

    def failed(self, environ):
        """The application raised: 500 where nothing was sent yet, else the connection is cut. Logs the traceback."""
        import traceback

        report(
            "exception while answering %s %s\n%s%s"
            % (environ.get("REQUEST_METHOD"), environ.get("REQUEST_URI"), traceback.format_exc(), _hint())
        )
        if self._begun:
            self._out.fail()
        else:
            self._begun = True
            self._out.respond(500, wire.FLAG_HAS_LENGTH, ERROR_HEAD, ERROR_BODY, True, False)


def _hint():
    """What to do about the current exception, where it is that of an ASGI application called by WSGI; else ""."""
    _, error, trace = sys.exc_info()
    if not isinstance(error, TypeError):
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    missing = "missing 1 required positional argument" in str(error)
    if trace.tb_frame.f_code.co_filename == __file__:
        found = missing or str(error).startswith("'coroutine' object")
    else:
        found = missing and "'send'" in str(error)  # a wrapper passed the call on
    return "This looks like an ASGI application called as WSGI has it: name what it is with --interface asgi.\n" if found else ""


class Host:
    """A WSGI application with the part of its environment that is the same for every request."""

    interface = "wsgi"
    event_loop = ""

    def __init__(self, application, multithread, multiprocess):
        self._application = application
        self._base = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            # The whole body is there, its end is the end of the stream (werkzeug asks for this).
            "wsgi.input_terminated": True,
        }
        self._parts = {}

    def environ(self, shared, variables):
        """
        The environment of one request, from octets, name NUL value NUL …; those in shared are likely to come again: the requests
        of a connection share most of it, so that part is made once. Where it is the same as that of another, from a wire.Kept and None.
        """
        if variables is None:
            made = shared.made
            if made is None:
                made = shared.made = self.environ(shared.shared, shared.own)
            return made.copy()
        environ = self._parts.get(shared)
        if environ is None:
            items = iter(shared.decode("latin-1").split("\0"))
            environ = dict(zip(items, items))
            environ.update(self._base)
            if len(self._parts) >= PARTS_MOST:
                self._parts.clear()
            self._parts[shared] = environ
        environ = environ.copy()
        items = iter(variables.decode("latin-1").split("\0"))
        environ.update(zip(items, items))
        return environ

    def begin(self, environ, body, body_in_file, out):
        """Runs one request as far as its response is at hand.

        body is octets, or with body_in_file the path of a file. Returns None where the request is done; else a generator that
        sends a block of the response each time it is resumed. It is to be exhausted, or, where the client left, told so by
        throwing ClientGone.
        """
        call = Call(out, environ["REQUEST_METHOD"])
        file = None
        try:
            if body_in_file:
                file = environ["wsgi.input"] = open(body, "rb", 65536)
            else:
                environ["wsgi.input"] = BytesIO(body)
            blocks = call.begin(self._application, environ)
            if blocks is not None:
                return _rest(call, blocks, environ, file, out)
        except (ClientGone, RequestTimeout):
            out.fail()
        except BaseException:  # SystemExit and KeyboardInterrupt are no reason to end a worker either
            _failed(call, environ, out)
        if file is not None:
            _close(file)
        return None

    def execute(self, shared, variables, body, body_in_file, out):
        """Runs one request to its end. The parameters are those of environ and begin."""
        rest = self.begin(self.environ(shared, variables), body, body_in_file, out)
        if rest is not None:
            try:
                for _ in rest:
                    pass
            except RequestTimeout as error:
                rest.throw(error)  # it may have come here, between two blocks


def _rest(call, blocks, environ, file, out):
    try:
        yield from blocks
    except (ClientGone, RequestTimeout):
        out.fail()
    except BaseException:
        _failed(call, environ, out)
    finally:
        if file is not None:
            _close(file)


def _failed(call, environ, out):
    try:
        call.failed(environ)
    except ClientGone:
        out.fail()


def _close(file):
    try:
        file.close()
    except ValueError:
        pass  # the application has detached it
