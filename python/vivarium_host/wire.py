"""The private framing between a front and its workers; src/python/wire/README.md specifies it."""

import struct

# front to worker
REQUEST = 1
CANCEL = 2
CREDIT = 3
LIMIT = 4
END = 5
INPUT_ENDED = 6
SHARED_IN = 7
BODY = 8
MESSAGE_IN = 9
CLOSE_IN = 10
FLAG_HAND_OVER = 1
FLAG_BODY_IN_FILE = 2
FLAG_BODY_FOLLOWS = 4
FLAG_WEBSOCKET = 8
FLAG_TAKES_HINTS = 16
FLAG_TAKES_TRAILERS = 32
FLAG_LITTLE_MEMORY = 64
FLAG_NUMBERED = 128
LITTLE_MEMORY = 65536
FLAG_BODY_LAST = 1
FLAG_TEXT = 8  # in either direction
PLACED = 64  # of a type, in either direction: the body is in shared memory, and the payload's last octets say where
PLACE_SIZE = 8

# worker to front
HELLO = 1
RESPONSE = 2
DATA = 3
FAIL = 4
RETURNED = 5
DROPPED = 6
LATE = 7
RETIRE = 8
BODY_CREDIT = 9
INFORM = 10
TRAILERS = 11
PATH = 12
MESSAGE = 13
CLOSE = 14
SHARED = 15
FLAG_LAST = 1
FLAG_HAS_LENGTH = 2
FLAG_HAS_DATE = 4
FLAG_CLOSES = 8
FLAG_HAS = 1
FLAG_SLOW = 1
FLAG_REPLACED = 2
FLAG_OVER = 4

TO_WORKER = struct.Struct("<IIBBHI")
TO_FRONT = struct.Struct("<IIBBHIII")
TO_WORKER_SIZE = TO_WORKER.size
TO_FRONT_SIZE = TO_FRONT.size

MICROSECONDS_MOST = 0xFFFFFFFF


class Kept:
    """Variables that come again: those of a request with a number. ``made`` is what the host made of them, once it has."""

    __slots__ = ("shared", "own", "made")

    def __init__(self, shared, own):
        self.shared = shared
        self.own = own
        self.made = None


class FrameReader:
    """Octets from a front in, frames out.

    A frame is a tuple: ``(REQUEST, id, flags, shared variables, other variables, body)``, the last three octets of which
    the first or second may be empty; with FLAG_NUMBERED the variables are a ``Kept`` and None; ``(CREDIT, id, octets)``; ``(CANCEL, id)``; ``(INPUT_ENDED, id, 0)``; ``(LIMIT, id, milliseconds)``; ``(END, 0, 0)``;
    ``(BODY, id, octets, whether the body is whole with these)``; ``(MESSAGE_IN, id, octets, whether it is a text)``;
    ``(CLOSE_IN, id, code, reason)``; ``(SHARED_IN, 0, path)``. Bodies that are elsewhere are taken out of ``bodies``.
    """

    __slots__ = ("_parts", "_have", "_need", "_kept", "bodies")

    def __init__(self):
        self.bodies = None
        self._parts = []
        self._have = 0
        self._need = 0
        self._kept = {}

    @property
    def missing(self):
        """Octets that the frame whose beginning was fed still needs; 0 between frames."""
        return self._need - self._have if self._parts else 0

    def feed(self, data):
        """Takes octets, returns the list of frames that are whole."""
        parts = self._parts
        if parts:
            # A large frame arrives in many pieces: they are joined once, when it is whole.
            parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(parts)
            parts.clear()
        frames = []
        position = 0
        end = len(data)
        unpack = TO_WORKER.unpack_from
        need = TO_WORKER_SIZE
        while end - position >= TO_WORKER_SIZE:
            size, id, type, flags, shared, extra = unpack(data, position)
            need = TO_WORKER_SIZE + size
            if end - position < need:
                break
            start = position + TO_WORKER_SIZE
            position += need
            body = None
            if type >= PLACED:
                type -= PLACED
                body = self.bodies.take(data, position - PLACE_SIZE)
            if type == REQUEST:
                if not flags & FLAG_NUMBERED:
                    end_of_variables = start + extra
                    variables = data[start : start + shared]
                    own = data[start + shared + 1 if shared else start : end_of_variables]
                else:
                    end_of_variables = start + (extra & 0xFFFF)
                    own = None
                    if start < end_of_variables:
                        rest = start + shared + 1 if shared else start
                        variables = Kept(data[start : start + shared], data[rest:end_of_variables])
                        self._kept[extra >> 16] = variables
                    else:
                        variables = self._kept[extra >> 16]
                if body is None:
                    body = data[end_of_variables:position] if end_of_variables < position else b""
                frames.append((REQUEST, id, flags, variables, own, body))
            elif type == BODY:
                frames.append((BODY, id, data[start:position] if body is None else body, bool(flags & FLAG_BODY_LAST)))
            elif type == MESSAGE_IN:
                frames.append((MESSAGE_IN, id, data[start:position], bool(flags & FLAG_TEXT)))
            elif type == CLOSE_IN:
                frames.append((CLOSE_IN, id, extra, data[start:position]))
            elif type == SHARED_IN:
                frames.append((SHARED_IN, id, data[start:position]))
            else:
                frames.append((type, id, extra))
            need = TO_WORKER_SIZE
        if position < end:
            parts.append(data[position:] if position else data)
            self._have = end - position
            self._need = need
        return frames


def frame(type, id, flags=0, status=0, head=0, wall=0, cpu=0, payload=b""):
    """One frame to the front, as octets. wall and cpu are microseconds."""
    return (
        TO_FRONT.pack(
            len(payload),
            id,
            type,
            flags,
            status,
            head,
            wall if wall < MICROSECONDS_MOST else MICROSECONDS_MOST,
            cpu if cpu < MICROSECONDS_MOST else MICROSECONDS_MOST,
        )
        + payload
    )
