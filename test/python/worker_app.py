"""What the tests of a worker ask it to execute. Events are files in the current directory, so nothing depends on time:
``wait`` ends when the test makes a file of that name, and what the application did stands in the file ``record``."""

import atexit
import hashlib
import os
import sys
import threading
import time


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
    elif route == "block":
        body = [b"x" * int(name)]
    elif route == "body":
        octets = environ["wsgi.input"].read()
        body = [("%d %s" % (len(octets), hashlib.sha256(octets).hexdigest())).encode()]
    elif route == "thread":
        body = [threading.current_thread().name.encode()]
    elif route == "print":
        print("printed")
        environ["wsgi.errors"].write("an error\n")
        os.write(1, b"written\n")
        body = [b"said"]
    elif route == "die":
        sys.stdout.flush()
        os.write(2, b"last words, without an end")
        os._exit(7)
    else:
        record("begin %s" % route)
        body = [route.encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
