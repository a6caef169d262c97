"""What an interpreter minds that is a guest in another program's process: signals, and the end."""

import atexit
import os
import signal
import sys
import threading

from .wsgi import report

# Seconds that the application's threads, other than daemons, have to end with the server.
MERCY = 2.0

_set_handler = signal.signal
_reported = set()


def keep_signals():
    """To be called before the application is loaded: signals are the server's, but for processes that are forked."""
    signal.signal = _ignore_handler
    os.register_at_fork(after_in_child=_give_signals)


def _give_signals():
    signal.signal = _set_handler


def _ignore_handler(signalnum, handler):
    """signal.signal, with which applications would take from the server what tells it to stop (mod_wsgi ignores it, too)."""
    if signalnum not in _reported:
        _reported.add(signalnum)
        try:
            name = signal.Signals(signalnum).name
        except ValueError:
            name = signalnum
        report("the application's handler of %s is not set: in embedded mode signals are the server's" % name)
    return signal.getsignal(signalnum)


def _wait_for_threads():
    """As threading._shutdown(), which on another thread than the main one would wait for that as well."""
    for call in reversed(getattr(threading, "_threading_atexits", ())):  # concurrent.futures ends its threads by it, from 3.9 on
        call()
    own = (threading.main_thread(), threading.current_thread())
    for thread in threading.enumerate():
        if not thread.daemon and thread not in own:
            thread.join()


def end():
    """What the interpreter does at its end: threads are waited for, though not for ever, and atexit's functions called."""
    waiter = threading.Thread(target=_wait_for_threads, daemon=True)
    waiter.start()
    waiter.join(MERCY)
    if waiter.is_alive():
        report("threads of the application still run at the end of the server; they are ended")
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the application has closed or replaced it
