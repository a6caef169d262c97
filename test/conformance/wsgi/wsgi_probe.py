"""A WSGI application with one route for each rule of PEP 3333; wsgi.test.ts says what each must answer.

    vivarium run wsgi_probe:application --chdir test/conformance/wsgi --workers 1 --threads 8

/validated/… serves the legal ones wrapped in wsgiref.validate.validator; /routes lists all.
"""

from wsgiref.validate import validator

import probe_bodies
import probe_environ
import probe_errors
import probe_files
import probe_input
import probe_start
from probe_routes import answer, answer_json, route, routes

# Imported for the routes they declare.
PARTS = (probe_bodies, probe_environ, probe_errors, probe_files, probe_input, probe_start)

VALIDATED = "/validated"


@route("/routes")
def _routes(environ, start_response):
    return answer_json(start_response, {path: legal for path, (_, legal) in sorted(routes.items())})


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    validate = path.startswith(VALIDATED + "/")
    if validate:
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + VALIDATED
        environ["PATH_INFO"] = path = path[len(VALIDATED) :]
    found, legal = routes.get(path, (None, False))
    if found is None or (validate and not legal):
        return answer(start_response, "no such probe: " + path.encode("latin-1").decode("utf-8", "replace"), "404 Not Found")
    return (validator(found) if validate else found)(environ, start_response)


class ApplicationClass:
    """PEP 3333's AppClass: the class is the application, its instances the iterables it returns."""

    def __init__(self, environ, start_response):
        self.environ = environ
        self.start = start_response

    def __iter__(self):
        self.start("200 OK", [("Content-Type", "text/plain")])
        yield b"an instance, "
        yield self.environ["REQUEST_METHOD"].encode("ascii")


class Callable:
    """An application that is an object with __call__."""

    def __call__(self, environ, start_response):
        return answer(start_response, "called an instance")

    def method(self, environ, start_response):
        return answer(start_response, "called a bound method")


callable_instance = Callable()
bound_method = callable_instance.method
not_callable = "a string"
