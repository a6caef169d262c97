"""What an application returns: PEP 3333, "The Application/Framework Side", "Buffering and Streaming", "Handling the
Content-Length Header"."""

from probe_routes import TEXT, Closing, ProbeError, gate, pass_gate, query, record, route


@route("/body/list")
def body_list(environ, start_response):
    start_response("200 OK", [TEXT])
    return [b"a", b"b", b"c"]


@route("/body/list-of-one")
def body_list_of_one(environ, start_response):
    start_response("200 OK", [TEXT])
    return [b"one block"]


@route("/body/tuple")
def body_tuple(environ, start_response):
    start_response("200 OK", [TEXT])
    return (b"a", b"b", b"c")


@route("/body/generator")
def body_generator(environ, start_response):
    start_response("200 OK", [TEXT])
    return (block for block in (b"a", b"b", b"c"))


@route("/body/map")
def body_map(environ, start_response):
    start_response("200 OK", [TEXT])
    return map(bytes, ([97], [98], [99]))


@route("/body/iterator")
def body_iterator(environ, start_response):
    start_response("200 OK", [TEXT])
    return Closing(environ, [b"a", b"b", b"c"])


class _Indexed:
    """Iterable by the old sequence protocol alone."""

    def __getitem__(self, index):
        return (b"a", b"b", b"c")[index]


@route("/body/indexed")
def body_indexed(environ, start_response):
    start_response("200 OK", [TEXT])
    return _Indexed()


class _SeparateIterator:
    """close() is the iterable's, as PEP 3333 has it, not the iterator's that __iter__ gives."""

    def __init__(self, environ):
        self._environ = environ

    def __iter__(self):
        return iter([b"a", b"b", b"c"])

    def close(self):
        record(self._environ, "close")


@route("/body/separate-iterator")
def body_separate_iterator(environ, start_response):
    start_response("200 OK", [TEXT])
    return _SeparateIterator(environ)


class _ClosingList(list):
    def __init__(self, environ, blocks):
        super().__init__(blocks)
        self._environ = environ

    def close(self):
        record(self._environ, "close")


@route("/body/list-with-close")
def body_list_with_close(environ, start_response):
    start_response("200 OK", [TEXT])
    return _ClosingList(environ, [b"a", b"b", b"c"])


class _LyingLength(list):
    """len() is 1 and iteration gives more: a length guessed from the first block would be wrong."""

    def __iter__(self):
        return iter((b"a", b"b", b"c"))


@route("/body/lying-length", legal=False)
def body_lying_length(environ, start_response):
    start_response("200 OK", [TEXT])
    return _LyingLength([b"a"])


class _Bytes(bytes):
    pass


@route("/body/bytes-subclass", legal=False)
def body_bytes_subclass(environ, start_response):
    start_response("200 OK", [TEXT])
    return [_Bytes(b"abc")]


@route("/body/empty-list")
def body_empty_list(environ, start_response):
    start_response("200 OK", [TEXT])
    return []


@route("/body/empty-block")
def body_empty_block(environ, start_response):
    start_response("200 OK", [TEXT])
    return [b""]


@route("/body/empty-generator")
def body_empty_generator(environ, start_response):
    start_response("200 OK", [TEXT])
    return iter(())


@route("/body/empty-blocks-between")
def body_empty_blocks_between(environ, start_response):
    # An empty block must not end a chunked body.
    start_response("200 OK", [TEXT])
    for block in (b"", b"a", b"", b"", b"b", b"", b"c", b""):
        yield block


@route("/body/str", legal=False)
def body_str(environ, start_response):
    start_response("200 OK", [TEXT])
    return "text"


@route("/body/list-of-str", legal=False)
def body_list_of_str(environ, start_response):
    start_response("200 OK", [TEXT])
    return _ClosingList(environ, ["text"])


@route("/body/bytes", legal=False)
def body_bytes(environ, start_response):
    # Iterating bytes gives integers: a mistake, and one that must not be served octet by octet.
    start_response("200 OK", [TEXT])
    return b"bytes"


@route("/body/none", legal=False)
def body_none(environ, start_response):
    start_response("200 OK", [TEXT])
    return None


@route("/body/not-iterable", legal=False)
def body_not_iterable(environ, start_response):
    start_response("200 OK", [TEXT])
    return 42


@route("/body/str-after-bytes", legal=False)
def body_str_after_bytes(environ, start_response):
    start_response("200 OK", [TEXT])
    return Closing(environ, [b"sent", "text"])


@route("/body/at-once")
def body_at_once(environ, start_response):
    # "must not delay the transmission of any block": the client has the first one while the gate is shut.
    start_response("200 OK", [TEXT])
    yield b"first "
    pass_gate(environ)
    yield b"second"


@route("/body/until-gone")
def body_until_gone(environ, start_response):
    # Endless until the client leaves; then a write fails, and close() comes in any case.
    start_response("200 OK", [TEXT])

    def blocks():
        block = b"x" * 65536
        while not gate(environ).is_set():
            yield block

    return Closing(environ, blocks())


@route("/body/generator-finally")
def body_generator_finally(environ, start_response):
    # A generator's close() runs its finally clauses.
    start_response("200 OK", [TEXT])
    try:
        while not gate(environ).is_set():
            yield b"x" * 65536
    finally:
        record(environ, "finally")


@route("/body/length-exact")
def body_length_exact(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "6")])
    return Closing(environ, [b"abc", b"def"])


@route("/body/length-long", legal=False)
def body_length_long(environ, start_response):
    # "the server … must not transmit more data": a client would take the rest for the next response.
    start_response("200 OK", [TEXT, ("Content-Length", "4")])
    return Closing(environ, [b"abc", b"def", b"HTTP/1.1 200 OK\r\n\r\n"])


@route("/body/length-short", legal=False)
def body_length_short(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return Closing(environ, [b"abc"])


@route("/body/length-short-empty", legal=False)
def body_length_short_empty(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return Closing(environ, [])


@route("/body/blocks")
def body_blocks(environ, start_response):
    """`count` blocks of `size` octets; with `length` their Content-Length."""
    count, size = int(query(environ, "count", "4")), int(query(environ, "size", "65536"))
    headers = [TEXT]
    if query(environ, "length"):
        headers.append(("Content-Length", str(count * size)))
    start_response("200 OK", headers)
    return Closing(environ, (bytes([97 + index % 26]) * size for index in range(count)))


@route("/body/status")
def body_status(environ, start_response):
    """A body under any status: `204 No Content` and `304 Not Modified` have none, whatever is returned."""
    status = query(environ, "status", "200 OK")
    start_response(status, [] if status[:3] in ("204", "304") else [TEXT])
    return Closing(environ, [b"a body"])


@route("/body/head")
def body_head(environ, start_response):
    # Answers HEAD as if it were GET; the server keeps the body back and the headers as they are.
    record(environ, environ["REQUEST_METHOD"])
    start_response("200 OK", [TEXT, ("Content-Length", "6"), ("X-Head", "kept")])
    return Closing(environ, [b"a body"])


@route("/close/after-error")
def close_after_error(environ, start_response):
    start_response("200 OK", [TEXT])
    return Closing(environ, [ProbeError("before the first block")])


@route("/close/after-late-error")
def close_after_late_error(environ, start_response):
    start_response("200 OK", [TEXT])
    return Closing(environ, [b"sent", ProbeError("after the first block")])


@route("/close/never-started", legal=False)
def close_never_started(environ, start_response):
    return Closing(environ, [b"no start_response"])


class _FailingClose(Closing):
    def close(self):
        super().close()
        raise ProbeError("in close")


@route("/close/raises")
def close_raises(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "2")])
    return _FailingClose(environ, [b"ok"])
