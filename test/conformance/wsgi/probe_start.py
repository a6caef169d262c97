"""start_response and write(): PEP 3333, "The start_response() Callable", "The write() Callable", "Error Handling"."""

import sys

from probe_routes import TEXT, ProbeError, answer, pass_gate, query, record, route


@route("/start/once")
def once(environ, start_response):
    return answer(start_response, "once")


@route("/start/reason-empty", legal=False)
def reason_empty(environ, start_response):
    start_response("299 ", [TEXT])
    return [b"no reason"]


@route("/start/exc-info-none")
def exc_info_none(environ, start_response):
    start_response("200 OK", [TEXT], None)
    return [b"none"]


@route("/start/exc-info-first")
def exc_info_first(environ, start_response):
    # "if exc_info is supplied, and no HTTP headers have been output yet" includes that none were set before.
    try:
        raise ProbeError("first")
    except ProbeError:
        start_response("503 Service Unavailable", [TEXT], sys.exc_info())
    return [b"error page"]


@route("/start/lazy")
def lazy(environ, start_response):
    # A generator: start_response is first called when the server asks for the first block.
    start_response("202 Accepted", [TEXT])
    yield b"lazy"


@route("/start/returns-write")
def returns_write(environ, start_response):
    write = start_response("200 OK", [TEXT])
    return [b"callable" if callable(write) else b"not callable"]


@route("/start/twice", legal=False)
def twice(environ, start_response):
    # "it is a fatal error to call start_response without the exc_info argument if it has already been called"
    start_response("200 OK", [TEXT, ("X-Call", "first")])
    try:
        start_response("201 Created", [TEXT, ("X-Call", "second")])
    except Exception as error:
        record(environ, "refused: " + type(error).__name__)
        raise
    return [b"accepted"]


@route("/start/twice-exc-info")
def twice_exc_info(environ, start_response):
    start_response("200 OK", [TEXT, ("X-Call", "first"), ("X-First", "1")])
    try:
        raise ProbeError("replace the headers")
    except ProbeError:
        start_response("503 Service Unavailable", [TEXT, ("X-Call", "second")], sys.exc_info())
    return [b"error page"]


@route("/start/exc-info-after-empty")
def exc_info_after_empty(environ, start_response):
    # An empty block sends nothing, so the headers can still be replaced.
    start_response("200 OK", [TEXT, ("X-Call", "first")])
    yield b""
    try:
        raise ProbeError("replace the headers")
    except ProbeError:
        start_response("500 Internal Server Error", [TEXT, ("X-Call", "second")], sys.exc_info())
    yield b"error page"


def _restart_and_reraise(environ, start_response):
    """Headers are out: start_response must raise the exception given, and the application lets it."""
    try:
        try:
            raise ProbeError("too late")
        except ProbeError:
            start_response("500 Internal Server Error", [TEXT], sys.exc_info())
    except ProbeError as error:
        record(environ, "reraised: " + str(error))
        raise
    record(environ, "accepted")


@route("/start/exc-info-after-write")
def exc_info_after_write(environ, start_response):
    write = start_response("200 OK", [TEXT])
    write(b"partial")
    _restart_and_reraise(environ, start_response)
    return [b"never"]


@route("/start/exc-info-after-yield")
def exc_info_after_yield(environ, start_response):
    start_response("200 OK", [TEXT])
    yield b"partial"
    _restart_and_reraise(environ, start_response)
    yield b"never"


@route("/start/never", legal=False)
def never(environ, start_response):
    return [b"no start_response"]


@route("/start/never-empty", legal=False)
def never_empty(environ, start_response):
    return []


@route("/start/after-empty-block", legal=False)
def after_empty_block(environ, start_response):
    # "the application must invoke the start_response() callable before the iterable yields its first body bytestring"
    yield b""
    start_response("200 OK", [TEXT])
    yield b"late"


@route("/start/after-block", legal=False)
def after_block(environ, start_response):
    yield b"too early"
    start_response("200 OK", [TEXT])


@route("/write/only")
def write_only(environ, start_response):
    write = start_response("200 OK", [TEXT])
    write(b"one ")
    write(b"two")
    return []


@route("/write/mixed")
def write_mixed(environ, start_response):
    write = start_response("200 OK", [TEXT])
    write(b"a")
    write(b"")
    write(b"b")
    return [b"c", b"d"]


@route("/write/in-iteration", legal=False)
def write_in_iteration(environ, start_response):
    # "Applications must not invoke write() from within their return iterable": whatever comes of it, the order of
    # what is sent is the order of what was produced, or it is refused.
    write = start_response("200 OK", [TEXT])
    write(b"a")

    def blocks():
        yield b"b"
        write(b"c")
        yield b"d"

    return blocks()


@route("/write/str", legal=False)
def write_str(environ, start_response):
    write = start_response("200 OK", [TEXT])
    try:
        write("text")
    except Exception as error:
        record(environ, "refused: " + type(error).__name__)
        raise
    return []


@route("/write/at-once")
def write_at_once(environ, start_response):
    # "each write() … must transmit before it returns": the client has the first block while the gate is shut.
    write = start_response("200 OK", [TEXT])
    write(b"first ")
    pass_gate(environ)
    write(b"second")
    return []


@route("/write/length-exact")
def write_length_exact(environ, start_response):
    write = start_response("200 OK", [TEXT, ("Content-Length", "6")])
    write(b"abc")
    return [b"def"]


@route("/write/length-long", legal=False)
def write_length_long(environ, start_response):
    write = start_response("200 OK", [TEXT, ("Content-Length", "4")])
    write(b"abc")
    return [b"def"]


@route("/headers/repeated")
def headers_repeated(environ, start_response):
    start_response("200 OK", [TEXT, ("Set-Cookie", "a=1"), ("X-Between", "1"), ("Set-Cookie", "b=2")])
    return [b"ok"]


@route("/headers/latin-1")
def headers_latin_1(environ, start_response):
    start_response("200 OK", [TEXT, ("X-Name", "caf\u00e9")])
    return [b"ok"]


@route("/headers/own-date-and-server")
def headers_own(environ, start_response):
    start_response(
        "200 OK", [TEXT, ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "probe"), ("Content-Length", "2")]
    )
    return [b"ok"]


@route("/headers/changed-after", legal=False)
def headers_changed_after(environ, start_response):
    # The list is the server's once given; what an application does to it later must break nothing.
    headers = [TEXT]
    start_response("200 OK", headers)
    headers.append(("X-Late", "bad\r\nX-Injected: 1"))
    return [b"ok"]


def _field(name, value):
    return ("200 OK", [TEXT, (name, value)])


#: Arguments of start_response that no server may pass on; the application lets the refusal propagate.
BAD_STARTS = {
    "status-int": (200, [TEXT]),
    "status-bytes": (b"200 OK", [TEXT]),
    "status-none": (None, [TEXT]),
    "status-empty": ("", [TEXT]),
    "status-two-digits": ("20 OK", [TEXT]),
    "status-four-digits": ("2000 OK", [TEXT]),
    "status-letters": ("abc OK", [TEXT]),
    "status-arabic-digits": ("\u0662\u0660\u0660 OK", [TEXT]),
    "status-informational": ("100 Continue", [TEXT]),
    "status-switching": ("101 Switching Protocols", [TEXT]),
    "status-crlf": ("200 OK\r\nX-Injected: 1", [TEXT]),
    "status-lf": ("200 OK\nX-Injected: 1", [TEXT]),
    "status-ends-in-lf": ("200 OK\n", [TEXT]),
    "status-nul": ("200 OK\0", [TEXT]),
    "status-beyond-latin-1": ("200 \u20ac", [TEXT]),
    "headers-tuple": ("200 OK", (TEXT,)),
    "headers-dict": ("200 OK", dict([TEXT])),
    "headers-none": ("200 OK", None),
    "header-not-a-pair": ("200 OK", [TEXT, ("X-Alone",)]),
    "header-a-triple": ("200 OK", [TEXT, ("X-A", "b", "c")]),
    "header-a-string": ("200 OK", [TEXT, "X-A: b"]),
    "header-name-bytes": _field(b"X-A", "b"),
    "header-name-empty": _field("", "b"),
    "header-name-space": _field("X A", "b"),
    "header-name-colon": _field("X-A:", "b"),
    "header-name-crlf": _field("X-A\r\nX-Injected", "b"),
    "header-name-ends-in-lf": _field("X-A\n", "b"),
    "header-name-beyond-ascii": _field("X-\u00e9", "b"),
    "header-value-bytes": _field("X-A", b"b"),
    "header-value-int": _field("X-A", 1),
    "header-value-none": _field("X-A", None),
    "header-value-crlf": _field("X-A", "b\r\nX-Injected: 1"),
    "header-value-lf": _field("X-A", "b\nX-Injected: 1"),
    "header-value-cr": _field("X-A", "b\rX-Injected: 1"),
    "header-value-ends-in-lf": _field("X-A", "b\n"),
    "header-value-nul": _field("X-A", "b\0"),
    "header-value-beyond-latin-1": _field("X-A", "\u20ac"),
    "content-length-word": _field("Content-Length", "two"),
    "content-length-empty": _field("Content-Length", ""),
    "content-length-negative": _field("Content-Length", "-2"),
    "content-length-signed": _field("Content-Length", "+2"),
    "content-length-list": _field("Content-Length", "2, 2"),
    "content-length-twice": ("200 OK", [TEXT, ("Content-Length", "2"), ("content-length", "3")]),
    # "fatal error": hop-by-hop fields (RFC 2616 §13.5.1) belong to the server; also under another spelling of case.
    "hop-connection": _field("Connection", "close"),
    "hop-keep-alive": _field("Keep-Alive", "timeout=5"),
    "hop-proxy-authenticate": _field("Proxy-Authenticate", "Basic"),
    "hop-proxy-authorization": _field("Proxy-Authorization", "Basic x"),
    "hop-te": _field("TE", "trailers"),
    "hop-trailer": _field("Trailer", "X-A"),
    "hop-transfer-encoding": _field("Transfer-Encoding", "chunked"),
    "hop-upgrade": _field("Upgrade", "websocket"),
    "hop-in-capitals": _field("TRANSFER-ENCODING", "chunked"),
}


@route("/bad-start", legal=False)
def bad_start(environ, start_response):
    status, headers = BAD_STARTS[query(environ, "case")]
    try:
        start_response(status, headers)
    except Exception as error:
        record(environ, "refused: " + type(error).__name__)
        raise
    record(environ, "accepted")
    return [b"ok"]


@route("/bad-start/cases")
def bad_start_cases(environ, start_response):
    return answer(start_response, "\n".join(BAD_STARTS))


@route("/bad-start/caught", legal=False)
def bad_start_caught(environ, start_response):
    # A refused start_response leaves nothing behind: an application that catches it can start anew.
    try:
        start_response("200 OK", [("X-A", "b\r\nX-Injected: 1")])
    except Exception:
        start_response("200 OK", [TEXT, ("X-Second", "1")])
    return [b"started anew"]
