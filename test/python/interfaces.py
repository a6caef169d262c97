"""Callables as applications have them, and what vivarium_host takes each for: prints JSON, name: interface."""

import functools
import json
import sys

sys.path.insert(0, sys.argv[1])
from vivarium_host.load import interface_of  # noqa: E402


async def asgi(scope, receive, send):
    pass


def wsgi(environ, start_response):
    return []


def passing_on(function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        return function(*arguments, **named)

    return wrapper


def of_request(function):
    """As werkzeug's Request.application."""

    @functools.wraps(function)
    def application(*arguments):
        return function(*arguments[:-2], arguments[-2])

    return application


def as_wsgi(function):
    """As a2wsgi."""

    @functools.wraps(function)
    def application(environ, start_response):
        return []

    return application


class Passing:
    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __call__(self, *arguments):
        pass


class Asgi:
    async def __call__(self, scope, receive, send):
        pass


class DecoratedAsgi:
    @passing_on
    def __call__(self, scope, receive, send):
        return asgi(scope, receive, send)


class DecoratedWsgi:
    @passing_on
    def __call__(self, environ, start_response):
        return []


async def view(request):
    pass


def circle(*arguments):
    pass


circle.__wrapped__ = circle

applications = {
    "asgi function": asgi,
    "wsgi function": wsgi,
    "wrapped asgi": passing_on(asgi),
    "wrapped wsgi": passing_on(wsgi),
    "twice wrapped asgi": passing_on(passing_on(asgi)),
    "wrapped asgi object": passing_on(Asgi().__call__),
    "object around asgi": Passing(asgi),
    "object around an asgi object": Passing(Asgi()),
    "object around wsgi": Passing(wsgi),
    "decorated asgi method": DecoratedAsgi(),
    "decorated wsgi method": DecoratedWsgi(),
    "wsgi of a function of a request": of_request(lambda request: []),
    "wsgi of a coroutine function of a request": of_request(view),
    "asgi made wsgi": as_wsgi(asgi),
    "partial of asgi": functools.partial(asgi),
    "circle": circle,
}
print(json.dumps({name: interface_of(application) for name, application in applications.items()}))
