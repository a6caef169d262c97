"""What the tests of embedded mode ask for, by path."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

#: Which of the first descriptors a program sees that the application starts.
DESCRIPTORS = "import os; print([os.path.exists('/proc/self/fd/%d' % n) for n in range(9)])"


def idle():
    while True:
        ticks.append(1)
        time.sleep(0.001)


ticks = []
left = []
threading.Thread(target=idle, daemon=True).start()
threading.Thread(target=time.sleep, args=(0.5,)).start()
atexit.register(print, "called at the end")


def blocks(count, size):
    for number in range(count):
        yield b"%c" % (97 + number % 26) * size


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pid":
        return [b"%d" % os.getpid()]
    if path == "/until":
        name = environ["QUERY_STRING"]
        open(name + ".begun", "w").close()
        while not os.path.exists(name):
            time.sleep(0.001)
        return [b"now"]
    if path == "/environ":
        return [repr([environ["wsgi.multithread"], environ["wsgi.multiprocess"]]).encode()]
    if path == "/mark":
        body = environ["wsgi.input"].read()
        marked = environ.setdefault("mark", body)
        return [marked, b" " + environ["REQUEST_METHOD"].encode()]
    if path == "/interpreter":
        return ["\n".join([sys.executable, sys.prefix, repr(sys.argv), sys.path[0]]).encode()]
    if path == "/body":
        return [b"%d" % len(environ["wsgi.input"].read())]
    if path == "/blocks":
        return blocks(40, 100000)
    if path == "/whole":
        return [b"".join(blocks(40, 100000))]
    if path == "/ticks":
        return [b"%d" % len(ticks)]
    if path == "/descriptors":
        return [subprocess.check_output([sys.executable, "-c", DESCRIPTORS], close_fds=False)]
    if path == "/signal":
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: None)
        return [repr(signal.getsignal(signal.SIGTERM) is before).encode()]
    if path.startswith("/pool/"):
        with multiprocessing.get_context(path[6:]).Pool(2) as pool:
            return [repr(pool.map(abs, [-1, -2, 3])).encode()]
    if path == "/fork":
        # The child comes back from the application's call, as careless applications let it.
        if not os.fork():
            return [b"the child's"]
        os.wait()
        return [b"the parent's"]
    if path == "/child":
        # One that lives on: what it was forked from must not wait for it, nor the client of this connection.
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        left.append(child)
        return [b"%d" % child]
    if path == "/kill-child":
        child = left.pop()
        os.kill(child, signal.SIGTERM)
        return [repr(os.waitpid(child, 0)[1]).encode()]
    if path == "/print":
        print("printed by the application")
        os.write(1, b"written to descriptor 1\n")
        sys.stderr.write("told to standard error\n")
        return [b""]
    raise ValueError("no such page: " + path)
