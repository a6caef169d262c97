"""A worker's front: the connection to it, and the scoreboard by which its server is known."""

import json
import mmap
import os
import socket

from . import wire


class Front:
    """The one a worker serves, and the next one when that has died."""

    def __init__(self, settings, threads, host):
        self._settings = settings
        self._connection = None
        hello = {
            "worker": settings["worker"],
            "pid": os.getpid(),
            "threads": threads,
            "generation": settings["generation"],
            "interface": host.interface,
            "eventLoop": host.event_loop,
        }
        self.hello = wire.frame(wire.HELLO, 0, payload=json.dumps(hello).encode())
        descriptor = os.open(settings["scoreboard"], os.O_RDWR)
        try:
            self.board = memoryview(mmap.mmap(descriptor, 64)).cast("I")
            self._board_file = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        # A process that the application forks (multiprocessing does) must neither read this worker's requests nor, living on
        # when the worker has died, keep the front waiting for its answers.
        os.register_at_fork(after_in_child=self._close)

    def may_come(self):
        """Whether the scoreboard is still this worker's: it is removed with the server, and another's where that has its place."""
        try:
            return os.path.samestat(os.stat(self._settings["scoreboard"]), self._board_file)
        except OSError:
            return False

    def connect(self):
        """A connection to the front there is now, in place of the last one. Raises OSError."""
        self._close()
        # Known before it is connected: another thread may fork.
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.connect(self._settings["wire"])
        return self._connection

    def _close(self):
        if self._connection is not None:
            self._connection.close()
