"""Loads an application, lets one of ASGI start, and says in one JSON line, the last of standard output, whether that worked."""

import json
import sys

from . import wsgi
from .load import LoadError, load, prepare
from .spawner import python_version, threads_started


def main(arguments):
    """``--target T --chdir D …``. Returns the exit status: 0 it would run, 1 it would not."""
    options = dict(zip(arguments[::2], arguments[1::2]))
    wsgi.ERROR_MARK = ""  # nobody takes lines of this process apart
    prepare(options["--target"], options["--chdir"])
    try:
        application, name, interface = load(options["--target"], options.get("--interface", "auto"))
        threads = threads_started()
        event_loop = ""
        if interface == "asgi":
            event_loop = _rehearse(application, options.get("--event-loop", "auto"))
    except LoadError as error:
        print("\n" + json.dumps({"ok": False, "problem": error.problem, "traceback": error.trace}), flush=True)
        return 1
    verdict = {
        "ok": True,
        "python": python_version(),
        "application": name,
        "interface": interface,
        "event_loop": event_loop,
        "threads_started": threads,
    }
    print("\n" + json.dumps(verdict), flush=True)
    sys.stdout.flush()
    return 0


def _rehearse(application, event_loop):
    """Returns what event loop it ran in."""
    from .asgi.host import Host
    from .asgi.lifespan import StartupFailed

    try:
        host = Host(application, event_loop)
        host.rehearse()
    except StartupFailed as failure:
        raise LoadError(failure.problem, failure.trace)
    return host.event_loop
