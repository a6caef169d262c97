"""The routes of the WSGI probe, and what they remember.

Each rule of PEP 3333 is one route, a WSGI application of its own. A route that a legal application may be is
served twice: as it is, and under /validated wrapped in wsgiref.validate.validator, which checks the server from
the application's side and the application from the server's.

What happens after the client has its answer (close() of an iterable, an exception in a write) is remembered
under the `key` of the request's query and told by /record, so the probe needs a server with one worker process.
"""

import json
import os
import threading
import time
from urllib.parse import parse_qs

TEXT = ("Content-Type", "text/plain; charset=utf-8")

#: path -> (application, whether the validator may be wrapped around it)
routes = {}

_events = {}
_gates = {}
_lock = threading.Lock()


def route(path, legal=True):
    """Declares a route; `legal` says that the application keeps every rule the validator checks."""

    def declare(application):
        if path in routes:
            raise ValueError("two routes are named " + path)
        routes[path] = (application, legal)
        return application

    return declare


def query(environ, name, default=""):
    values = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).get(name)
    return values[0] if values else default


def record(environ, event):
    """Remembers an event under the request's key."""
    key = query(environ, "key")
    with _lock:
        _events.setdefault(key, []).append(event)


def gate(environ):
    """What requests of one key tell each other by."""
    key = query(environ, "key")
    with _lock:
        return _gates.setdefault(key, threading.Event())


def pass_gate(environ):
    """
    Waits at a gate that the client opens, as a file: there may be one request at a time only. One that nobody opens is an
    error, not an opening.
    """
    path = os.path.join(os.environ["PROBE_GATES"], query(environ, "key"))
    limit = time.monotonic() + 20
    while not os.path.exists(path):
        if time.monotonic() > limit:
            raise TimeoutError("nobody opened the gate")
        time.sleep(0.005)


def answer(start_response, body, status="200 OK", headers=()):
    """An ordinary response: text, its length, one block."""
    if not isinstance(body, bytes):
        body = body.encode("utf-8")
    start_response(status, [TEXT, ("Content-Length", str(len(body)))] + list(headers))
    return [body]


def answer_json(start_response, value):
    body = json.dumps(value).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


@route("/record")
def _record(environ, start_response):
    key = query(environ, "key")
    with _lock:
        events = list(_events.get(key, ()))
    return answer_json(start_response, events)


class Closing:
    """An iterable of blocks whose close() is remembered. A block that is an exception is raised in its place."""

    def __init__(self, environ, blocks):
        self._environ = environ
        self._blocks = iter(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self._blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self):
        record(self._environ, "close")


class ProbeError(Exception):
    """Raised by the probe where a rule is about an application that fails."""
