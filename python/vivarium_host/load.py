"""Finds and imports the application a target names."""

import importlib
import os
import re
import sys

TARGET = re.compile(r"(?P<place>.+?)(?::(?P<callable>[A-Za-z_][\w.]*(?:\(\))?))?$").match
# As in inspect, whose import takes its time.
CO_VARARGS = 0x04
CO_COROUTINE = 0x80
WRAPPERS_MOST = 100  # around one another; they may stand in a circle
DEFAULT_CALLABLES = ("application", "app")


class LoadError(Exception):
    """The application could not be loaded: ``problem`` is one sentence, ``trace`` the Python traceback or ""."""

    def __init__(self, problem, trace=""):
        Exception.__init__(self, problem)
        self.problem = problem
        self.trace = trace


def is_path(place):
    """Whether the part of a target before the colon is a file rather than a module (``mysite.wsgi`` can be either)."""
    return "/" in place or place.endswith(".py") or (place.endswith(".wsgi") and os.path.isfile(place))


def _traceback():
    """The traceback of the current exception from the application's first frame on."""
    import traceback  # start-up time matters, and nearly every start does without

    kind, error, trace = sys.exc_info()
    here = os.path.dirname(os.path.abspath(__file__))

    def ours(filename):
        return filename.startswith(here) or filename.startswith("<frozen importlib") or "/importlib/" in filename

    first = trace
    while first is not None and ours(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return "".join(traceback.format_exception(kind, error, first))


def _import(place, target):
    try:
        if not is_path(place):
            return importlib.import_module(place)
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_loader

        path = os.path.abspath(place)
        if not os.path.isfile(path):
            raise LoadError("There is no file %s, which the target %s names." % (path, target))
        folder = os.path.dirname(path)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = re.sub(r"\W", "_", os.path.splitext(os.path.basename(path))[0])
        loader = SourceFileLoader(name, path)
        module = module_from_spec(spec_from_loader(name, loader, origin=path))
        sys.modules.setdefault(name, module)
        loader.exec_module(module)
        return module
    except LoadError:
        raise
    except BaseException as error:  # an application may well call sys.exit() while it is imported
        message = str(error).strip().split("\n")[0]
        raise LoadError(
            "The application %s could not be imported: %s%s."
            % (target, type(error).__name__, ": " + message.rstrip(".") if message else ""),
            _traceback(),
        )


def _find(module, name, target):
    if name is None:
        for candidate in DEFAULT_CALLABLES:
            if hasattr(module, candidate):
                return getattr(module, candidate), candidate
        raise LoadError(
            "The target %s has neither `application` nor `app`; name the callable: %s:NAME." % (target, target)
        )
    found = module
    for part in name.replace("()", "").split("."):
        if not hasattr(found, part):
            raise LoadError("The target %s names `%s`, which %s does not have." % (target, name, module.__name__))
        found = getattr(found, part)
    if name.endswith("()"):
        try:
            found = found()
        except BaseException as error:
            raise LoadError(
                "The application factory of %s raised %s." % (target, type(error).__name__), _traceback()
            )
    return found, name


def _code(function):
    """The code that a call of it runs, and how many arguments it takes beside its object; (None, 0) where that is not Python's."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = function.func  # functools.partial
    bound = getattr(function, "__func__", None)
    code = getattr(bound or function, "__code__", None)
    if code is None:
        return None, 0
    defaults = getattr(bound or function, "__defaults__", None) or ()
    return code, code.co_argcount - (bound is not None) - len(defaults)


def interface_of(application):
    """How a callable wants to be called: "asgi", "wsgi", or "asgi2", which is of the past."""
    if isinstance(application, type):
        # An instance is made with the scope, and called or awaited then.
        call, _ = _code(application.__dict__.get("__call__"))
        if call is not None and call.co_flags & CO_COROUTINE:
            return "asgi2"
        return "asgi" if hasattr(application, "__await__") else "wsgi"
    for candidate in (application, getattr(application, "__call__", None)):
        code, arguments = _code(candidate)
        if code is None:
            continue
        if code.co_flags & CO_COROUTINE:
            return "asgi"
        # One that passes the call on to a coroutine function. WSGI has two arguments.
        if arguments == 3:
            return "asgi"
        if code.co_flags & CO_VARARGS and arguments < 2:
            return "asgi" if _wraps_asgi(candidate) or _wraps_asgi(application) else "wsgi"
        return "asgi2" if arguments == 1 else "wsgi"
    return "wsgi"


def _wraps_asgi(wrapper):
    """Whether something that takes any arguments wraps, by functools.wraps, what takes the three of ASGI.

    The number decides: what makes a WSGI application of a function (werkzeug's Request.application) wraps it likewise.
    """
    for _ in range(WRAPPERS_MOST):
        wrapped = getattr(wrapper, "__wrapped__", None)
        if wrapped is None:
            return False
        # The method that a decorator in the class was given.
        owner = getattr(wrapper, "__self__", None)
        if owner is not None and hasattr(wrapped, "__get__"):
            wrapped = wrapped.__get__(owner)
        wrapper = wrapped
        code, arguments = _code(wrapped)
        if code is None:
            code, arguments = _code(getattr(wrapped, "__call__", None))
        if code is None:
            return False
        if arguments >= 2 or not code.co_flags & CO_VARARGS:
            return arguments == 3
    return False


def prepare(target, directory):
    """Makes the process look as ``python`` started in the application's directory would."""
    os.chdir(directory)
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [directory] + [path for path in sys.path if os.path.abspath(path) not in (own, directory)]
    sys.argv[:] = [target]


def load(target, interface="auto"):
    """Imports the application. Returns ``(callable, "module:name", "wsgi" or "asgi")``; raises LoadError."""
    match = TARGET(target)
    if match is None:
        raise LoadError("%r is not a target; give package.module:callable or path/to/file.py:callable." % target)
    place = match.group("place")
    module = _import(place, target)
    application, name = _find(module, match.group("callable"), target)
    if not callable(application):
        raise LoadError("The target %s names %s, which is %s and cannot be called." % (target, name, type(application).__name__))
    found = interface_of(application) if interface == "auto" else interface
    if found == "asgi2":
        raise LoadError(
            "The application %s takes the scope alone, as ASGI 2 had it: make it ASGI 3, or wrap it with asgiref.compatibility.guarantee_single_callable."
            % target
        )
    return application, "%s:%s" % (module.__name__ if not is_path(place) else place, name), found
