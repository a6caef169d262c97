"""The application every server runs in the benchmark: plain WSGI (PEP 3333), standard library only."""

import os
import time

HELLO = b"Hello, world!\n"
BIG = b"x" * 102400
CHUNK = b"y" * 65536
# Replaced by what measures how long a reload takes.
VERSION = b"1\n"
ITERATIONS = int(os.environ.get("BENCH_ITERATIONS", "20000"))


def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ, start_response):
    return answer(start_response, HELLO)


def version(environ, start_response):
    return answer(start_response, VERSION)


def wait(environ, start_response):
    """Waits 5 ms, as for a database."""
    time.sleep(0.005)
    return answer(start_response, HELLO)


def slow(environ, start_response):
    time.sleep(0.1)
    return answer(start_response, HELLO)


def work(iterations):
    """Computes as a template does: short strings, numbers and a dictionary."""
    seen = {}
    for number in range(iterations):
        seen[number & 255] = str(number)
    return len(seen)


def compute(environ, start_response):
    return answer(start_response, b"%d\n" % work(ITERATIONS))


def big(environ, start_response):
    return answer(start_response, BIG)


def upload(environ, start_response):
    """Reads the body in pieces, keeps none, and answers how long it was."""
    body = environ["wsgi.input"]
    left = int(environ.get("CONTENT_LENGTH") or 0)
    read = 0
    while left > 0:
        piece = body.read(min(left, 262144))
        if not piece:
            break
        read += len(piece)
        left -= len(piece)
    return answer(start_response, b"%d\n" % read)


def download(environ, start_response):
    """As many octets as the query says, a piece at a time."""
    octets = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(octets))])
    pieces, rest = divmod(octets, len(CHUNK))
    for _ in range(pieces):
        yield CHUNK
    if rest:
        yield CHUNK[:rest]


PAGES = {
    "/hello": hello,
    "/version": version,
    "/wait": wait,
    "/slow": slow,
    "/compute": compute,
    "/big": big,
    "/upload": upload,
    "/download": download,
}


def app(environ, start_response):
    return PAGES[environ["PATH_INFO"]](environ, start_response)


application = app
