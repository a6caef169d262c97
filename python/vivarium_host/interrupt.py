"""Where a thread is, and how what it executes is interrupted."""

import ctypes
import os
import signal
import sys
import threading
import traceback

from . import RequestTimeout

FRAMES_MOST = 100  # of a stack; the innermost
HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Wakes the main thread from the system call it waits in. By default it does nothing, in programs that the application starts, too.
WAKE = signal.SIGURG

_set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
_waker = None


def stack_of(thread):
    """The application's part of a thread's stack, as a traceback has it, the innermost line last; "" where it is in none."""
    frame = sys._current_frames().get(thread)
    frames = []
    while frame is not None:
        if not frame.f_code.co_filename.startswith(HERE):
            frames.append((frame, frame.f_lineno))
        elif frame.f_code.co_name in ("_occupy", "run"):
            break  # beyond it is how the thread, or the request's task, was started
        frame = frame.f_back
    frames = frames[:FRAMES_MOST]
    frames.reverse()
    return "".join(traceback.StackSummary.extract(iter(frames)).format())


def wake_by_signal(seat):
    """Prepares the main thread, whose seat this is, to be woken by a signal. Called by that thread."""
    global _waker

    def interrupt(number, frame):
        # It may come when the request is over.
        if seat.open and seat.late:
            seat.open = False
            raise RequestTimeout("the request took longer than --request-timeout allows")

    _waker = interrupt
    signal.signal(WAKE, interrupt)


def interrupt(thread):
    """Raises RequestTimeout in a thread, at the next line of Python it executes. The main thread is woken for that."""
    # Other threads' system calls go on after a signal (PEP 475), as the main thread's would where the application has
    # put another handler in place of this one.
    if thread == threading.main_thread().ident and signal.getsignal(WAKE) is _waker:
        signal.pthread_kill(thread, WAKE)
    else:
        _set_exception(ctypes.c_ulong(thread), ctypes.py_object(RequestTimeout))


def forget(thread):
    """Takes back what the thread has not noticed yet."""
    _set_exception(ctypes.c_ulong(thread), None)
