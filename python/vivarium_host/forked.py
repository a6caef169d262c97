"""A process that the application forks (os.fork, multiprocessing) is none of the server's."""

import os
import signal
import stat
import threading

# Python's faulthandler takes these from others, and does not say so.
FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}

# Those that say that a process is to end.
GROUP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def ignore(*_):
    """The server's answer to signals of a whole process group: its supervisor decides."""


def give_signals():
    """Processes that are forked from now on do with signals as Python would.

    multiprocessing ends its processes by SIGTERM, and waits until they have ended. One that comes before the child has the
    handlers it should have waits until then: a pool's worker can be as young as that.
    """
    masks = threading.local()

    def hold():
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP)

    def let_go():
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def child():
        restore_signals()
        let_go()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=child)


def restore_signals():
    """What the server handles, and where it is not Python that does, there is no handler to see."""
    for number in signal.valid_signals() - FAULTS:
        if signal.getsignal(number) in (ignore, None):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def close_connections(listeners):
    """Closes the sockets that listen, given by their descriptors, and what was accepted from them.

    Living on, the child would keep the port taken when the server has ended, and open what the server has closed.
    """
    ours = {_name(listener) for listener in listeners}
    for each in os.listdir("/proc/self/fd"):
        descriptor = int(each)
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and _name(descriptor) in ours:
                os.close(descriptor)
        except OSError:
            pass  # the folder's own


def _name(descriptor):
    """A socket's own address: what was accepted has that of the socket that listens, which may listen at every host."""
    import socket  # start-up time matters, and few applications fork

    opened = socket.socket(fileno=descriptor)
    try:
        name = opened.getsockname()
        return name[1] if opened.family in (socket.AF_INET, socket.AF_INET6) else name
    finally:
        opened.detach()
