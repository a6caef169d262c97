"""environ: PEP 3333, "environ Variables", "Thread Support", "URL Reconstruction", "Unicode Issues"."""

import os
import threading
from wsgiref.util import request_uri

from probe_routes import answer, answer_json, gate, query, route


def _described(value):
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if isinstance(value, tuple):
        return list(value)
    return "<%s>" % type(value).__name__


@route("/environ")
def dump(environ, start_response):
    return answer_json(start_response, {name: _described(value) for name, value in environ.items()})


@route("/environ/types")
def types(environ, start_response):
    """What PEP 3333 demands of types: a builtin dict, native strings of latin-1 characters."""
    cgi = {name: value for name, value in environ.items() if "." not in name}
    return answer_json(
        start_response,
        {
            "dict": type(environ) is dict,
            "names": all(type(name) is str for name in environ),
            "values": all(type(value) is str for value in cgi.values()),
            "latin-1": all(ord(character) < 256 for value in cgi.values() for character in value),
            "version": type(environ["wsgi.version"]) is tuple and environ["wsgi.version"] == (1, 0),
            "multithread": type(environ["wsgi.multithread"]) is bool,
            "multiprocess": type(environ["wsgi.multiprocess"]) is bool,
            "input": all(hasattr(environ["wsgi.input"], name) for name in ("read", "readline", "readlines", "__iter__")),
            "errors": all(hasattr(environ["wsgi.errors"], name) for name in ("flush", "write", "writelines")),
        },
    )


@route("/environ/uri")
def uri(environ, start_response):
    return answer(start_response, request_uri(environ))


@route("/environ/cleared")
def cleared(environ, start_response):
    # "the application is allowed to modify the dictionary in any way it desires"
    environ.clear()
    return answer(start_response, "cleared")


@route("/environ/marked")
def marked(environ, start_response):
    # Nothing an application leaves in its dictionary shows in the next request's.
    before = environ.get("probe.mark", "unmarked")
    environ["probe.mark"] = "marked"
    environ["wsgi.version"] = (9, 9)
    environ["HTTP_X_LEFT_BEHIND"] = "1"
    return answer(start_response, before)


@route("/environ/who")
def who(environ, start_response):
    return answer_json(start_response, {"pid": os.getpid(), "thread": threading.get_ident()})


_meeting_lock = threading.Lock()
_meetings = {}


@route("/environ/meet")
def meet(environ, start_response):
    """Answers when `count` requests of one key are inside at once; tells in how many threads they are."""
    with _meeting_lock:
        threads = _meetings.setdefault(query(environ, "key"), set())
        threads.add(threading.get_ident())
        if len(threads) >= int(query(environ, "count", "2")):
            gate(environ).set()
    met = gate(environ).wait(20)
    return answer_json(start_response, {"met": met, "threads": len(threads)})
