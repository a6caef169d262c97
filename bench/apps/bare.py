"""Calls the application's hello in a loop as a server must at least: a fresh environ, start_response, the body taken whole,
closed. Prints CPU microseconds per call, the median of several rounds, and the interpreter's version."""

import io
import statistics
import sys
import time

from app import app

TEMPLATE = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/hello",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "127.0.0.1:8000",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
CALLS = 20000
heads = []


def start_response(status, headers, exc_info=None):
    heads.append((status, headers))


def call():
    environ = TEMPLATE.copy()
    environ["wsgi.input"] = io.BytesIO()
    body = app(environ, start_response)
    page = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    heads.clear()
    return page


def measure():
    before = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - before) / CALLS * 1e6


assert call() == b"Hello, world!\n"
print("%.3f %s" % (statistics.median(measure() for _ in range(9)), sys.version.split()[0]))
