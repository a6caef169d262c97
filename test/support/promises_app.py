"""What tests of promises ask an application to do. The path is a token of the request's own and the body of its answer, so a
client knows its answer from another's. The query says what happens before, in its order:

note      the token is written to the file ``record`` in the current directory
sleep=MS  so long it waits
compute=MS  so long it computes
wait=NAME until somebody makes the file NAME
die       its process ends with status 7
kill=N    its process ends by signal N
once=NAME the rest of the query only where nobody has made the file NAME yet
gil       it waits for ever, and no other thread can do anything
stubborn=NAME until somebody makes the file NAME, whatever is raised meanwhile
leak=KIB  so much is never freed
long=KIB  so much more is in the answer
stream=NAME the answer has no length, and ends when somebody makes the file NAME

The body of a request follows its token in the answer.
"""

import ctypes
import os
import time

leaked = []


def note(token):
    descriptor = os.open("record", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, ("%s\n" % token).encode())
    finally:
        os.close(descriptor)


def first(name):
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def compute(milliseconds):
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


def hold():
    """PyDLL lets go of no GIL, and a mutex that its own thread has is waited for whatever signal arrives."""
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def stubborn(token, name):
    while True:
        try:
            while not os.path.exists(name):
                time.sleep(0.001)
            return
        except BaseException:
            note("%s caught" % token)


def stream(token, name):
    yield token.encode("latin-1")
    while not os.path.exists(name):
        time.sleep(0.001)


def app(environ, start_response):
    token = environ["PATH_INFO"][1:]
    more = b""
    for step in filter(None, environ["QUERY_STRING"].split("&")):
        verb, _, value = step.partition("=")
        if verb == "note":
            note(token)
        elif verb == "sleep":
            time.sleep(int(value) / 1000)
        elif verb == "wait":
            while not os.path.exists(value):
                time.sleep(0.001)
        elif verb == "compute":
            compute(int(value))
        elif verb == "die":
            os._exit(7)
        elif verb == "kill":
            os.kill(os.getpid(), int(value))
        elif verb == "once" and not first(value):
            break
        elif verb == "gil":
            hold()
        elif verb == "stubborn":
            stubborn(token, value)
        elif verb == "leak":
            leaked.append(b"." * (int(value) * 1024))
        elif verb == "stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return stream(token, value)
        elif verb == "long":
            more = b"." * (int(value) * 1024)
    body = token.encode("latin-1") + environ["wsgi.input"].read() + more
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
