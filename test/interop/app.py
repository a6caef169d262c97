"""The application of the conformance suite (suite/): WSGI, standard library only, so that it runs under any server.

The first segment of the path chooses what it does. Where a test must see something inside the application, or decide
when it goes on, they meet at a file: its path is the query's `mark`, and the server's processes need not be one.
"""
import hashlib
import json
import os
import time
from urllib.parse import parse_qs

KIB64 = 65536

# As in suite/pattern.ts. Its length is prime, so that octets lost, doubled or moved anywhere change the checksum.
BLOCK = bytes((7 * i * i + 13 * i + (i >> 7)) & 255 for i in range(65521))


def pattern(size):
    """The first `size` octets of the endless repetition of BLOCK, in pieces."""
    whole, rest = divmod(size, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    if rest:
        yield BLOCK[:rest]


def text(start_response, status, body, fields=()):
    data = body.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(data))), *fields])
    return [data]


def as_json(start_response, value):
    data = json.dumps(value).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def show_environ(environ, start_response, query):
    strings = {name: value for name, value in environ.items() if type(value) is str}
    return as_json(start_response, {
        "strings": strings,
        "version": environ["wsgi.version"],
        "flags": [environ[name] for name in ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")],
        "methods": [
            all(hasattr(environ["wsgi.input"], name) for name in ("read", "readline", "readlines", "__iter__")),
            all(hasattr(environ["wsgi.errors"], name) for name in ("write", "writelines", "flush")),
        ],
        "dict": type(environ) is dict,
        "names": all(type(name) is str for name in environ),
    })


def read_all(environ):
    """The body, to its end or as far as CONTENT_LENGTH says: a server need not end the input by itself (PEP 3333)."""
    length = environ.get("CONTENT_LENGTH")
    left = int(length) if length else None
    source = environ["wsgi.input"]
    if left is None and not environ.get("wsgi.input_terminated"):
        return
    while left is None or left > 0:
        data = source.read(KIB64 if left is None else min(left, KIB64))
        if not data:
            return
        if left is not None:
            left -= len(data)
        yield data


def digest(environ, start_response, query):
    seen = hashlib.sha256()
    length = 0
    for data in read_all(environ):
        seen.update(data)
        length += len(data)
    return as_json(start_response, {
        "method": environ["REQUEST_METHOD"],
        "query": environ.get("QUERY_STRING", ""),
        "length": length,
        "sha256": seen.hexdigest(),
    })


def echo(environ, start_response, query):
    body = b"".join(read_all(environ))
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


def lines(environ, start_response, query):
    """The body by lines, and what comes after its end."""
    source = environ["wsgi.input"]
    found = [source.readline().decode("latin-1") for _ in range(int(query["count"]))]
    return as_json(start_response, {"lines": found, "after": source.read(10).decode("latin-1")})


def make(environ, start_response, query):
    size = int(query["size"])
    fields = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        fields.append(("Content-Length", str(size)))
    start_response("200 OK", fields)
    return pattern(size)


def status(environ, start_response, query):
    """A response of this status, without a body, and without a word about one."""
    start_response(query["status"], [("X-Answer", "yes")])
    return []


def head(environ, start_response, query):
    """What HEAD and GET answer here differs in nothing but the body, which a careless application sends for both."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5"), ("X-Answer", "yes")])
    return [b"hello"]


def fields(environ, start_response, query):
    count, size = int(query["count"]), int(query["size"])
    return text(start_response, "200 OK", "fields", [(f"X-Field-{i}", "v" * size) for i in range(count)])


def cookies(environ, start_response, query):
    values = ["a=1; Path=/", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT", "c=caf\xe9"]
    return text(start_response, "200 OK", "cookies", [("Set-Cookie", value) for value in values])


def redirect(environ, start_response, query):
    return text(start_response, "302 Found", "elsewhere", [("Location", query["to"])])


def fail(environ, start_response, query):
    if query["when"] == "started":
        start_response("200 OK", [("Content-Type", "text/plain")])
    raise RuntimeError("the application of the suite fails where it was asked to")


def cut(environ, start_response, query):
    """The beginning of a response whose rest is not made. It ends once the file `mark` is there: the client has seen some."""
    given = [("Content-Length", str(10 * KIB64))] if "length" in query else []
    start_response("200 OK", [("Content-Type", "application/octet-stream"), *given])
    yield from pattern(3 * KIB64)
    wait_for(query["mark"])
    if "raise" in query:
        raise RuntimeError("the application of the suite fails where it was asked to")


def lie(environ, start_response, query):
    """Content-Length says one thing, the body another."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", query["said"])])
    return [b"x" * int(query["sent"])]


def complain(environ, start_response, query):
    environ["wsgi.errors"].write("a line for the log, written by the suite's application\n")
    environ["wsgi.errors"].flush()
    return text(start_response, "200 OK", "complained")


def test_is_there(path):
    """Whether the test still waits at this path: it removes the folder when it is done, or has failed."""
    return os.path.isdir(os.path.dirname(path))


def wait_for(path):
    while test_is_there(path) and not os.path.exists(path):
        time.sleep(0.005)


def write_mark(path, value):
    with open(path + ".new", "w") as file:
        file.write(value)
    os.rename(path + ".new", path)


def stream(environ, start_response, query):
    """The second piece is made once the file `mark` is there: by a client that has seen the first."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    wait_for(query["mark"])
    yield b" last"


class Endless:
    """A body that ends with the test. `close` leaves the file `mark`."""

    def __init__(self, mark):
        self.mark = mark

    def __iter__(self):
        return self

    def __next__(self):
        if not test_is_there(self.mark):
            raise StopIteration
        time.sleep(0.001)
        return BLOCK

    def close(self):
        if test_is_there(self.mark):
            write_mark(self.mark, "closed")


def endless(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Endless(query["mark"])


ROUTES = {
    "environ": show_environ,
    "digest": digest,
    "echo": echo,
    "lines": lines,
    "make": make,
    "status": status,
    "head": head,
    "fields": fields,
    "cookies": cookies,
    "redirect": redirect,
    "fail": fail,
    "cut": cut,
    "lie": lie,
    "complain": complain,
    "stream": stream,
    "endless": endless,
}


def application(environ, start_response):
    # Both, so that what a server put into the wrong one is seen by the test that asks, and not by all.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # What stands before is where the application is mounted.
    route = next((ROUTES[name] for name in path.split("/") if name in ROUTES), None)
    if route is None:
        return text(start_response, "404 Not Found", "the suite's application has nothing at " + repr(path))
    query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    return route(environ, start_response, query)
