"""Loads an application and says in one JSON line, the last of standard output, whether that worked."""

import json
import sys

from .load import LoadError, load, prepare
from .spawner import python_version, threads_started


def main(arguments):
    """``--target T --chdir D``. Returns the exit status: 0 it loads, 1 it does not."""
    options = dict(zip(arguments[::2], arguments[1::2]))
    prepare(options["--target"], options["--chdir"])
    try:
        _, name, interface = load(options["--target"], options.get("--interface", "auto"))
    except LoadError as error:
        print("\n" + json.dumps({"ok": False, "problem": error.problem, "traceback": error.trace}), flush=True)
        return 1
    verdict = {
        "ok": True,
        "python": python_version(),
        "application": name,
        "interface": interface,
        "threads_started": threads_started(),
    }
    print("\n" + json.dumps(verdict), flush=True)
    sys.stdout.flush()
    return 0
