"""What the tests of embedded mode ask for, by path."""

import os
import sys


def blocks(count, size):
    for number in range(count):
        yield b"%c" % (97 + number % 26) * size


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pid":
        return [b"%d" % os.getpid()]
    if path == "/environ":
        return [repr([environ["wsgi.multithread"], environ["wsgi.multiprocess"]]).encode()]
    if path == "/interpreter":
        return ["\n".join([sys.executable, sys.prefix, repr(sys.argv), sys.path[0]]).encode()]
    if path == "/body":
        return [b"%d" % len(environ["wsgi.input"].read())]
    if path == "/blocks":
        return blocks(40, 100000)
    if path == "/whole":
        return [b"".join(blocks(40, 100000))]
    if path == "/print":
        print("printed by the application")
        os.write(1, b"written to descriptor 1\n")
        sys.stderr.write("told to standard error\n")
        return [b""]
    raise ValueError("no such page: " + path)
