"""What tests of workers and of the whole server ask an application to do. Events are files in the current directory, so nothing depends on time:
``wait`` ends when the test makes a file of that name, and what the application did stands in the file ``record``."""

import atexit
import ctypes
import hashlib
import json
import os
import random
import sys
import threading
import time


MEBIBYTE = b"0123456789abcdef" * 65536


def record(event):
    descriptor = os.open("record", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, ("%s\n" % event).encode())
    finally:
        os.close(descriptor)


def wait(name):
    while not os.path.exists(name):
        time.sleep(0.0005)


@atexit.register
def ending():
    record("atexit")


class Stream:
    """Gives "one", waits for the file ``name``, gives "two" and on, until it has given "nine"."""

    def __init__(self, name):
        self._name = name
        self._words = iter(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))

    def __iter__(self):
        return self

    def __next__(self):
        word = next(self._words)
        if word == "two":
            wait(self._name)
        record("%s gives %s" % (self._name, word))
        return word.encode()

    def close(self):
        record("%s closed" % self._name)


class Confirmed:
    """Gives "0", and each further number when the test has made the file that says it received the one before."""

    def __init__(self, name):
        self._name = name
        self._next = 0

    def __iter__(self):
        return self

    def __next__(self):
        number = self._next
        if number == 5:
            raise StopIteration
        if number:
            wait("%s-%d" % (self._name, number - 1))
        self._next += 1
        return b"%d" % number

    def close(self):
        record("%s closed" % self._name)


class Mebibytes:
    """Gives so many MiB, and records its end."""

    def __init__(self, count):
        self._count = self._left = count

    def __iter__(self):
        return self

    def __next__(self):
        if not self._left:
            raise StopIteration
        self._left -= 1
        return MEBIBYTE

    def close(self):
        record("closed %d with %d left" % (self._count, self._left))


class Closing:
    """Its second block never comes; ``close`` records that it was called."""

    def __init__(self, name):
        self._name = name
        self._given = False

    def __iter__(self):
        return self

    def __next__(self):
        if not self._given:
            self._given = True
            return b"one"
        spin(self._name)

    def close(self):
        record("%s closed" % self._name)


def spin(name):
    """Executes lines of Python until the test makes a file of this name."""
    record("begin %s" % name)
    while not os.path.exists(name):
        pass


def stubborn(name):
    """Goes on whatever is raised in it, until the test makes a file of this name."""
    record("begin %s" % name)
    while True:
        try:
            # A call: in Python 3.13 what is raised as a loop's round ends passes by the "except" around that loop.
            wait(name)
            return
        except BaseException as error:
            record("%s has caught %s" % (name, type(error).__name__))


def ticks():
    while True:
        yield b"tick"
        time.sleep(0.01)


def blocks(count):
    for _ in range(count):
        yield b"x" * 65536


def app(environ, start_response):
    _, route, *rest = environ["PATH_INFO"].split("/")
    name = rest[0] if rest else ""
    if route == "wait":
        record("begin %s" % name)
        wait(name)
        body = [b"waited"]
    elif route == "stream":
        body = Stream(name)
    elif route == "blocks":
        body = blocks(int(name))
    elif route == "ticks":
        body = ticks()
    elif route == "block":
        body = [b"x" * int(name)]
    elif route == "body":
        octets = environ["wsgi.input"].read()
        body = [("%d %s" % (len(octets), hashlib.sha256(octets).hexdigest())).encode()]
    elif route == "digits":
        # Of each name others.
        body = [hashlib.sha256(name.encode()).hexdigest().encode() * int(rest[1])]
    elif route == "held":
        record("begin held %s" % name)
        wait(name)
        octets = environ["wsgi.input"].read()
        body = [("%d %s" % (len(octets), hashlib.sha256(octets).hexdigest())).encode()]
    elif route == "upload":
        digest = hashlib.sha256()
        size = 0
        for octets in iter(lambda: environ["wsgi.input"].read(1 << 20), b""):
            digest.update(octets)
            size += len(octets)
        body = [("%d %s" % (size, digest.hexdigest())).encode()]
    elif route == "mebibytes":
        # With a length, for how much the client takes tells how much was sent.
        record("begin %s" % name)
        start_response("200 OK", [("Content-Length", str(int(name) << 20))])
        return Mebibytes(int(name))
    elif route == "confirmed":
        body = Confirmed(name)
    elif route == "pid":
        body = [b"%d" % os.getpid()]
    elif route == "process":
        facts = {
            "pid": os.getpid(),
            "argv": sys.argv,
            "path": sys.path,
            "cwd": os.getcwd(),
            "prefix": sys.prefix,
            "name": __name__,
            "multithread": environ["wsgi.multithread"],
            "multiprocess": environ["wsgi.multiprocess"],
        }
        body = [json.dumps(facts).encode()]
    elif route == "thread":
        body = [threading.current_thread().name.encode()]
    elif route == "print":
        print("printed")
        environ["wsgi.errors"].write("an error\n")
        os.write(1, b"written\n")
        body = [b"said"]
    elif route == "nothreads":
        threading.stack_size(1 << 46)  # more than there is: starting a thread fails
        body = [b"none"]
    elif route == "spin":
        try:
            spin(name)
        except BaseException as error:
            record("%s was left by %s" % (name, type(error).__name__))
            raise
        body = [b"spun"]
    elif route == "sleep":
        record("begin %s" % name)
        try:
            time.sleep(3600)
        finally:
            record("%s woke up" % name)
    elif route == "about":
        # As long as so many milliseconds, or a little less or more.
        until = time.perf_counter() + int(name) / 1000 * (0.6 + 0.8 * random.random())
        while time.perf_counter() < until:
            pass
        body = [b"about"]
    elif route == "stubborn":
        stubborn(name)
        body = [b"went on"]
    elif route == "closing":
        body = Closing(name)
    elif route == "gil":
        # Holds the GIL, for PyDLL does not let go of it: a mutex that this thread has is waited for whatever signal arrives.
        record("begin %s" % name)
        mutex = ctypes.create_string_buffer(64)
        for _ in range(2):
            ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    elif route == "read":
        # A system call that goes on after a signal, in every thread but the first.
        record("begin %s" % name)
        os.mkfifo("%s-pipe" % name)
        descriptor = os.open("%s-pipe" % name, os.O_RDWR)
        os.read(descriptor, 1)
        os.close(descriptor)
        body = [b"read"]
    elif route == "fork":
        # A process that lives on when the worker has died, as one of multiprocessing's may.
        pid = os.fork()
        if not pid:
            wait(name)
            os.write(1, b"forked process ends\n")
            os._exit(0)
        os.kill(os.getpid(), 9)
    elif route == "stderr":
        sys.stderr = None
        raise ValueError("with nowhere to write it")
    elif route == "detach":
        environ["wsgi.input"].detach()
        body = [b"detached"]
    elif route == "segfault":
        ctypes.string_at(0)
    elif route == "loop":
        record("begin loop")
        while True:
            pass
    elif route == "exit":
        sys.exit("the application exits")
    elif route == "die":
        sys.stdout.flush()
        os.write(2, b"last words, without an end")
        os._exit(7)
    else:
        record("begin %s" % route)
        body = [route.encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
