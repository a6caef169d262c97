"""Bodies that a worker and its front give each other in memory that both have; src/python/wire/README.md specifies it."""

import mmap
import os
import struct
import threading

from . import wire

LEAST = 8192  # octets; what is smaller goes with its frame
SIDE = 2**21
SIDES_AT = 4096
OURS_AT = SIDES_AT + SIDE
END = OURS_AT + SIDE
TAKEN_BY_FRONT_AT = 16
ALIGNED = 64
PLACE = struct.Struct("<II")


def shared_bodies(path):
    """None where this process cannot have that memory."""
    try:
        return SharedBodies(path)
    except (OSError, ValueError):
        return None


class SharedBodies:
    """The worker's end."""

    __slots__ = ("_memory", "_counts", "_put", "_taken", "_next", "_lock")

    def __init__(self, path):
        """Raises OSError where there is no such memory for this process."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._memory = mmap.mmap(descriptor, END)
        finally:
            os.close(descriptor)
        self._counts = memoryview(self._memory).cast("I")
        self._put = 0  # bodies put, and taken; both begin anew after 2**32 - 1
        self._taken = 0
        self._next = OURS_AT
        self._lock = threading.Lock()  # of threads that put

    def place(self, type, body):
        """Of a frame with this body: its type, and what stands in it for the body. That is the body itself where there is no room for it here."""
        size = len(body)
        with self._lock:
            at = OURS_AT if self._counts[TAKEN_BY_FRONT_AT] == self._put else self._next
            end = at + size
            if end > END:
                return type, body
            self._memory[at:end] = body
            self._next = (end + ALIGNED - 1) & -ALIGNED
            self._put = (self._put + 1) & 0xFFFFFFFF
        return type | wire.PLACED, PLACE.pack(at, size)

    def take(self, data, position):
        """The body of which the place stands there. Each is to be taken once, by one thread at a time."""
        at, size = PLACE.unpack_from(data, position)
        body = self._memory[at : at + size]
        self._taken = (self._taken + 1) & 0xFFFFFFFF
        self._counts[0] = self._taken
        return body
