"""``python path/to/vivarium_host spawn SETTINGS`` and ``… check --target T --chdir D``: see spawner.py and check.py."""

import json
import os
import sys

if __name__ == "__main__":
    if sys.version_info < (3, 8):
        problem = "Vivarium needs Python 3.8 or newer; %s is %s." % (sys.executable, sys.version.split()[0])
        # In the words of whoever asked: the spawner's events, or the verdict of a check.
        if sys.argv[1] == "spawn":
            os.write(3, (json.dumps({"event": "failed", "problem": problem, "traceback": ""}) + "\n").encode())
        else:
            print(json.dumps({"ok": False, "problem": problem, "traceback": ""}))
        sys.exit(1)
    # Started by path: the folder's parent must be importable while the package is, and no longer.
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, parent)
    # PYTHONDONTWRITEBYTECODE speaks of the application's folders; compiling this package anew takes 20 ms of each start.
    written = sys.dont_write_bytecode
    sys.dont_write_bytecode = False
    from vivarium_host import check, spawner  # noqa: E402  (the path comes first)

    sys.path.remove(parent)
    sys.dont_write_bytecode = written
    if sys.argv[1] == "spawn":
        sys.exit(spawner.main(json.loads(sys.argv[2])))
    sys.exit(check.main(sys.argv[2:]))
