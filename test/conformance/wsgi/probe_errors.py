"""Applications that fail, and wsgi.errors: PEP 3333, "Error Handling", "Input and Error Streams"."""

import os
import sys

from probe_routes import TEXT, ProbeError, answer, query, record, route


@route("/errors/write")
def errors_write(environ, start_response):
    """Says `text` by every way an application has of saying something; each line must reach the server's log."""
    text = query(environ, "text", "said")
    errors = environ["wsgi.errors"]
    errors.write(text + " by write\n")
    errors.writelines([text + " by ", "writelines\n"])
    print(text, "by print", file=errors)
    errors.write(text + " without an end of line")
    errors.flush()
    errors.write("\n")
    errors.write(text + " caf\u00e9 \u20ac\n")
    errors.flush()
    print(text, "on stdout", flush=True)
    print(text, "on stderr", file=sys.stderr, flush=True)
    return answer(start_response, "said")


@route("/errors/lone-surrogate")
def errors_lone_surrogate(environ, start_response):
    # "should be text-mode": what no encoding has must not make logging fail.
    environ["wsgi.errors"].write("lone \udcff surrogate\n")
    return answer(start_response, "said")


class _Unprintable(Exception):
    def __str__(self):
        raise ProbeError("in __str__")


class _Base(BaseException):
    pass


def _recurse():
    return _recurse()


def _raise(kind):
    if kind == "recursion":
        _recurse()
    raise {
        "exception": ProbeError("the exception's message"),
        "base-exception": _Base("base"),
        "system-exit": SystemExit(3),
        "keyboard-interrupt": KeyboardInterrupt(),
        "generator-exit": GeneratorExit(),
        "stop-iteration": StopIteration(),
        "unprintable": _Unprintable(),
        "surrogate": ProbeError("lone \udcff surrogate"),
        "broken-pipe": BrokenPipeError(32, "the application's own"),
        "unicode": ProbeError("caf\u00e9 \u20ac"),
    }[kind]


@route("/raise/before")
def raise_before(environ, start_response):
    _raise(query(environ, "kind", "exception"))


@route("/raise/after-start")
def raise_after_start(environ, start_response):
    # Nothing of the response has been sent: it can still become an error page.
    start_response("200 OK", [TEXT, ("X-Started", "1")])
    _raise(query(environ, "kind", "exception"))


class _Failing:
    """Gives its blocks, then raises; remembers close()."""

    def __init__(self, environ, blocks):
        self._environ = environ
        self._blocks = list(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        if self._blocks:
            return self._blocks.pop(0)
        return _raise(query(self._environ, "kind", "exception"))

    def close(self):
        record(self._environ, "close")


@route("/raise/in-first-block")
def raise_in_first_block(environ, start_response):
    start_response("200 OK", [TEXT, ("X-Started", "1")])
    return _Failing(environ, [])


@route("/raise/after-empty-block")
def raise_after_empty_block(environ, start_response):
    start_response("200 OK", [TEXT, ("X-Started", "1")])
    return _Failing(environ, [b""])


@route("/raise/after-block")
def raise_after_block(environ, start_response):
    # The head is out: the connection is cut, so that the client does not take a part for the whole.
    start_response("200 OK", [TEXT])
    return _Failing(environ, [b"partial"])


@route("/raise/after-length")
def raise_after_length(environ, start_response):
    # The body was whole before the exception came.
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return _Failing(environ, [b"whole"])


@route("/raise/exit-process", legal=False)
def raise_exit_process(environ, start_response):
    # The worker is gone in the midst of a request.
    os._exit(3)
