"""A process that the application forks (os.fork, multiprocessing) is none of the server's."""

import signal

# Python's faulthandler takes these from others, and does not say so.
FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}


def ignore(*_):
    """The server's answer to signals of a whole process group: its supervisor decides."""


def restore_signals():
    """What the server handles (where it is not Python that does, there is no handler to see), the child does as Python would.

    multiprocessing ends its processes by SIGTERM, and waits until they have ended.
    """
    for number in signal.valid_signals() - FAULTS:
        if signal.getsignal(number) in (ignore, None):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
