"""wsgi.input: PEP 3333, "Input and Error Streams"."""

import hashlib

from probe_routes import answer, answer_json, query, route


def _whole(stream, environ):
    return stream.read(int(environ.get("CONTENT_LENGTH") or 0))


def _by_read(stream):
    while True:
        block = stream.read(1000)
        if not block:
            return
        yield block


def _by_readline(stream):
    while True:
        line = stream.readline()
        if not line:
            return
        yield line


def _by_short_readline(stream):
    while True:
        line = stream.readline(7)
        if not line:
            return
        yield line


#: Ways to read the whole of a body; each must give the same octets.
WAYS = {
    "content-length": lambda stream, environ: [_whole(stream, environ)],
    "read": lambda stream, environ: _by_read(stream),
    "readline": lambda stream, environ: _by_readline(stream),
    "readline-size": lambda stream, environ: _by_short_readline(stream),
    "readlines": lambda stream, environ: stream.readlines(),
    "iteration": lambda stream, environ: iter(stream),
}


@route("/input/digest")
def digest(environ, start_response):
    """Reads the body in one of the WAYS; tells its SHA-256, octets, and how many pieces it came in."""
    sha256, octets, pieces = hashlib.sha256(), 0, 0
    for piece in WAYS[query(environ, "way")](environ["wsgi.input"], environ):
        sha256.update(piece)
        octets += len(piece)
        pieces += 1
    return answer_json(
        start_response,
        {
            "sha256": sha256.hexdigest(),
            "octets": octets,
            "pieces": pieces,
            "contentLength": environ.get("CONTENT_LENGTH"),
            "end": environ["wsgi.input"].read(10).decode("latin-1"),
        },
    )


def _perform(stream, operation):
    """`read:3`, `readline`, `readlines:10`, `iterate`, …: the method and its argument."""
    name, _, size = operation.partition(":")
    if name == "next":
        value = next(iter(stream), b"")
    elif name == "iterate":
        value = list(stream)
    else:
        value = getattr(stream, name)(*([int(size)] if size else []))
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [line.decode("latin-1") for line in value]


def _operations(environ, start_response):
    stream = environ["wsgi.input"]
    return answer_json(start_response, [_perform(stream, each) for each in query(environ, "ops").split(",")])


# The validator allows read() with a size only; servers have always taken it without one as well.
route("/input/operations")(_operations)
route("/input/operations-unchecked", legal=False)(lambda environ, start_response: _operations(environ, start_response))


@route("/input/none-size", legal=False)
def none_size(environ, start_response):
    # As io.BytesIO and every other stream: None is "no size".
    return answer(start_response, environ["wsgi.input"].read(None))


@route("/input/echo")
def echo(environ, start_response):
    return answer(start_response, _whole(environ["wsgi.input"], environ))


@route("/input/unread")
def unread(environ, start_response):
    # What an application does not read must not be taken for the next request.
    return answer(start_response, "not read")


@route("/input/half-read")
def half_read(environ, start_response):
    return answer(start_response, environ["wsgi.input"].read(5))


@route("/input/after-start")
def after_start(environ, start_response):
    # Reading while the response is under way.
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    yield b"got: "
    for block in _by_read(environ["wsgi.input"]):
        yield block
