"""What the cases ask: each route does one thing that ASGI has a rule for, and tells what came of it."""

import asyncio
import contextvars
import json
import os
import sys
import threading

import socket_probe

remembered = {}
routes = {}
variable = contextvars.ContextVar("variable", default="unset")
started = []


def route(function):
    routes["/" + function.__name__.replace("_", "-").replace("--", "/")] = function
    return function


def plain(value):
    """As JSON can say it: octets as latin-1 text behind "b:"."""
    if isinstance(value, bytes):
        return "b:" + value.decode("latin-1")
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send, value):
    await answer(send, json.dumps(plain(value)).encode(), 200, [(b"content-type", b"application/json")])


async def whole(receive):
    messages = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message["more_body"]:
            return messages


def query(scope):
    return dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)


def remember(scope, what):
    remembered.setdefault(query(scope)["key"], []).append(what)


def gate(scope):
    return os.path.exists(os.path.join(os.environ["PROBE_GATES"], query(scope)["key"]))


async def pass_gate(scope):
    while not gate(scope):
        await asyncio.sleep(0.005)


# ---- the scope

@route
async def scope(scope, receive, send):
    told = dict(scope)
    told["types"] = {key: type(value).__name__ for key, value in scope.items()}
    told["pair_types"] = sorted({type(pair).__name__ for pair in scope["headers"]})
    await answer_json(send, told)


@route
async def spoil(scope, receive, send):
    """Changes all that can be changed of its own scope, for the next request to be unaffected."""
    scope["headers"].append((b"x-spoilt", b"1"))
    scope["extensions"]["spoilt"] = {}
    scope["asgi"]["version"] = "9"
    scope["state"]["spoilt"] = True
    scope["path"] = "/other"
    await answer(send, b"spoilt")


@route
async def context(scope, receive, send):
    before = variable.get()
    variable.set("mine")
    await asyncio.sleep(0)
    await answer_json(send, [before, variable.get()])


@route
async def task(scope, receive, send):
    current = asyncio.current_task()
    await asyncio.sleep(0)
    await answer_json(send, [current is asyncio.current_task(), threading.current_thread() is threading.main_thread()])


@route
async def loop(scope, receive, send):
    await answer(send, type(asyncio.get_running_loop()).__module__.encode())


# ---- request bodies

@route
async def messages(scope, receive, send):
    await answer_json(send, await whole(receive))


@route
async def echo(scope, receive, send):
    await answer(send, b"".join(message["body"] for message in await whole(receive)))


@route
async def count(scope, receive, send):
    octets = pieces = largest = 0
    for message in iter_messages(await whole(receive)):
        octets += len(message)
        pieces += 1
        largest = max(largest, len(message))
    await answer_json(send, [octets, pieces, largest])


def iter_messages(messages):
    return [message["body"] for message in messages]


@route
async def piecewise(scope, receive, send):
    """Sends back each piece as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})
        if not message["more_body"]:
            return


@route
async def first_piece(scope, receive, send):
    """Begins when the head is there, and tells so."""
    remember(scope, "begun")
    message = await receive()
    remember(scope, "%d %s" % (len(message["body"]), message["more_body"]))
    await whole(receive)
    await answer(send, b"done")


@route
async def unread(scope, receive, send):
    await answer(send, b"not read")


@route
async def waits_to_read(scope, receive, send):
    await pass_gate(scope)
    octets = sum(len(message["body"]) for message in await whole(receive))
    await answer_json(send, octets)


@route
async def receive_after_end(scope, receive, send):
    await whole(receive)
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0.02)
    early = waiting.done()
    await answer_json(send, early)
    remember(scope, (await waiting)["type"])


@route
async def receive_twice(scope, receive, send):
    """Two tasks wait at once."""
    await whole(receive)
    waiting = [asyncio.ensure_future(receive()) for _ in range(2)]
    await answer(send, b"answered")
    for each in waiting:
        remember(scope, (await each)["type"])


@route
async def gives_up_waiting(scope, receive, send):
    """Cancels receive() before anything comes, and asks again."""
    times = 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), 0.01)
            break
        except asyncio.TimeoutError:
            times += 1
            if times == 3:
                remember(scope, "gave up")
    await answer_json(send, message)


@route
async def disconnect(scope, receive, send):
    await whole(receive)
    remember(scope, "waits")
    remember(scope, (await receive())["type"])
    remember(scope, (await receive())["type"])
    try:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        remember(scope, "sent")
    except OSError:
        remember(scope, "OSError")


@route
async def disconnect_in_body(scope, receive, send):
    await receive()
    remember(scope, "first")
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            remember(scope, "http.disconnect")
            return


@route
async def endless(scope, receive, send):
    """Streams until it is told to stop."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    sent = 0
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 65536
            remembered["sent"] = sent
            await asyncio.sleep(0)
    except OSError:
        remember(scope, "OSError")
        raise


@route
async def endless_wrapped(scope, receive, send):
    """As frameworks do it: an exception of their own in place of the server's."""
    try:
        await endless(scope, receive, send)
    except OSError:
        raise RuntimeError("the client of %s has left" % query(scope)["key"])


@route
async def events(scope, receive, send):
    """Sends one event after another, and ends when the client has left."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    left = asyncio.ensure_future(receive_disconnect(receive))
    number = 0
    while not left.done():
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        number += 1
        await asyncio.sleep(0.005)
    remember(scope, "left")


async def receive_disconnect(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


@route
async def gated_stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await pass_gate(scope)
    await send({"type": "http.response.body", "body": b"second", "more_body": False})


# ---- responses

@route
async def status(scope, receive, send):
    await answer(send, b"" if scope["query_string"] in (b"204", b"304") else b"body", int(scope["query_string"]))


@route
async def status_with_body(scope, receive, send):
    await answer(send, b"a body that must not be sent", int(scope["query_string"]))


@route
async def headers(scope, receive, send):
    await answer(
        send, b"", 200, [(b"x-one", b"1"), (b"X-Two", b"2"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-latin", b"\xe9"), (b"x-empty", b"")]
    )


@route
async def header_lists(scope, receive, send):
    """Lists in place of tuples, and any iterable in place of a list."""
    await send({"type": "http.response.start", "status": 200, "headers": iter([[b"x-list", b"1"], (b"x-tuple", b"2")])})
    await send({"type": "http.response.body", "body": b"ok"})


@route
async def no_headers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


@route
async def hop_by_hop(scope, receive, send):
    fields = [(b"Transfer-Encoding", b"chunked"), (b"connection", b"upgrade"), (b"keep-alive", b"1"), (b"x-kept", b"1")]
    await answer(send, b"plain", 200, fields)


@route
async def closes(scope, receive, send):
    await answer(send, b"last", 200, [(b"Connection", query(scope)["as"].encode())])


@route
async def own_date(scope, receive, send):
    await answer(send, b"", 200, [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")])


@route
async def chunks(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (b"one ", b"", b"two ", b"three"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@route
async def known_length(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    await send({"type": "http.response.body", "body": b"def", "more_body": False})


@route
async def large(scope, receive, send):
    await answer(send, b"0123456789abcdef" * 262144)


@route
async def many_pieces(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(2000):
        await send({"type": "http.response.body", "body": b"%04d" % number, "more_body": True})
    await send({"type": "http.response.body"})


@route
async def other_octets(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytearray(b"array "), "more_body": True})
    await send({"type": "http.response.body", "body": memoryview(b"view")})


@route
async def start_alone(scope, receive, send):
    """The head waits for the body."""
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await pass_gate(scope)
    await send({"type": "http.response.body", "body": b"late"})


@route
async def changed_behind(scope, receive, send):
    """Changes what it has given to send()."""
    headers = [(b"x-first", b"1")]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    headers.append((b"x-second", b"2"))
    start["status"] = 500
    piece = bytearray(b"first ")
    message = {"type": "http.response.body", "body": piece, "more_body": True}
    await send(message)
    piece[:] = b"wrong "
    await send({"type": "http.response.body", "body": b"last"})


@route
async def gathered(scope, receive, send):
    """Many tasks that send at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.gather(*(send({"type": "http.response.body", "body": b"%d " % each, "more_body": True}) for each in range(20)))
    await send({"type": "http.response.body", "body": b"end"})
    return "what nobody asked for"


@route
async def helpers(scope, receive, send):
    """A thread, a process, and a task that outlives the call."""
    thread = await asyncio.get_running_loop().run_in_executor(None, lambda: threading.current_thread() is threading.main_thread())
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(4711)", stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()

    async def later():
        await pass_gate(scope)
        remember(scope, "done")

    remembered[query(scope)["key"], "task"] = asyncio.ensure_future(later())
    await answer_json(send, [thread, said.decode().strip(), process.returncode])


@route
async def background(scope, receive, send):
    await answer(send, b"answered")
    await pass_gate(scope)
    remember(scope, "done")


# ---- what may not be

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"ok"}
MORE = {"type": "http.response.body", "body": b"ok", "more_body": True}

wrong = {
    "body-before-start": [BODY],
    "two-starts": [START, START],
    "start-after-body": [START, MORE, START],
    "trailers-unannounced": [START, MORE, {"type": "http.response.trailers", "headers": []}],
    "hint-after-start": [START, {"type": "http.response.early_hint", "links": [b"</a>"]}],
    "path-after-body": [START, MORE, {"type": "http.response.pathsend", "path": "/etc/hostname"}],
    "path-before-start": [{"type": "http.response.pathsend", "path": "/etc/hostname"}],
    "relative-path": [START, {"type": "http.response.pathsend", "path": "etc/hostname"}],
    "unknown-type": [{"type": "http.response.unknown"}],
    "websocket-type": [{"type": "websocket.accept"}],
    "no-type": [{"status": 200}],
    "no-dict": [None],
    "no-status": [{"type": "http.response.start", "headers": []}],
    "text-status": [{"type": "http.response.start", "status": "200", "headers": []}],
    "status-100": [{"type": "http.response.start", "status": 100, "headers": []}],
    "status-99": [{"type": "http.response.start", "status": 99, "headers": []}],
    "status-1000": [{"type": "http.response.start", "status": 1000, "headers": []}],
    "text-header-name": [{"type": "http.response.start", "status": 200, "headers": [("x", b"y")]}],
    "text-header-value": [{"type": "http.response.start", "status": 200, "headers": [(b"x", "y")]}],
    "header-of-three": [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"y", b"z")]}],
    "headers-none": [{"type": "http.response.start", "status": 200, "headers": None}],
    "line-in-value": [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]}],
    "nul-in-value": [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\0b")]}],
    "space-in-name": [{"type": "http.response.start", "status": 200, "headers": [(b"x y", b"z")]}],
    "empty-name": [{"type": "http.response.start", "status": 200, "headers": [(b"", b"z")]}],
    "bad-length": [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"-1")]}],
    "two-lengths": [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]}],
    "text-body": [START, {"type": "http.response.body", "body": "text"}],
    "none-body": [START, {"type": "http.response.body", "body": None}],
}


@route
async def wrong_message(scope, receive, send):
    """Sends what may not be sent; the last of it raises, and what it says is the answer."""
    *before, last = wrong[scope["query_string"].decode()]
    for message in before:
        await send(message)
    try:
        await send(last)
    except Exception as error:
        said = ("%s: %s" % (type(error).__name__, error)).encode()
        begun = any(message["type"] == "http.response.body" for message in before)
        if not before:
            await send(START)
        await send({"type": "http.response.body", "body": b"|" + said if begun else said})
        return
    await send({"type": "http.response.body", "body": b"nothing was raised"})


@route
async def after_end(scope, receive, send):
    await answer(send, b"whole")
    for message in (START, BODY):
        try:
            await send(message)
            remember(scope, "sent")
        except Exception as error:
            remember(scope, type(error).__name__)


@route
async def too_long(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"four"})


@route
async def too_long_later(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"four", "more_body": True})
    await send({"type": "http.response.body", "body": b"four"})


@route
async def too_short(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"four"})


@route
async def too_short_later(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"four", "more_body": True})
    await send({"type": "http.response.body", "body": b"four"})


@route
async def head_length(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b""})


@route
async def returns_nothing(scope, receive, send):
    return None


@route
async def returns_after_start(scope, receive, send):
    await send(START)


@route
async def returns_in_body(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"part", "more_body": True})


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")


failures = {
    "exception": lambda: ValueError("a failure"),
    "base-exception": lambda: BaseException("a failure"),
    "system-exit": lambda: SystemExit(3),
    "keyboard-interrupt": lambda: KeyboardInterrupt(),
    "generator-exit": lambda: GeneratorExit(),
    "cancelled": lambda: asyncio.CancelledError(),
    "stop-async-iteration": lambda: StopAsyncIteration(),
    "os-error": lambda: OSError("disk"),
    "timeout": lambda: asyncio.TimeoutError(),
    "unprintable": Unprintable,
}


@route
async def raises(scope, receive, send):
    raise failures[scope["query_string"].decode()]()


@route
async def raises_after_start(scope, receive, send):
    await send(START)
    raise failures[scope["query_string"].decode()]()


@route
async def raises_in_body(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise failures[scope["query_string"].decode()]()


@route
async def raises_after_end(scope, receive, send):
    await answer(send, b"whole")
    raise ValueError("a failure behind the answer of %s" % query(scope)["key"])


@route
async def cancels_itself(scope, receive, send):
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


# ---- extensions

@route
async def trailers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-sum")], "trailers": True})
    await send({"type": "http.response.body", "body": b"summed"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"21")], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": [(b"x-more", b"22")]})
    remember(scope, "sent")


@route
async def hints(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
    await answer(send, b"hinted")


@route
async def path(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/x-python")]})
    await send({"type": "http.response.pathsend", "path": os.path.abspath(__file__)})


@route
async def path_missing(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": "/nonexistent/file"})


# ---- others

@route
async def memory(scope, receive, send):
    await answer_json(send, remembered.get(query(scope)["key"], []))


@route
async def who(scope, receive, send):
    await answer_json(send, {"pid": os.getpid(), "started": started, "sent": remembered.get("sent", 0)})


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            started.append([scope["type"], scope["asgi"], sorted(scope)])
            scope["state"]["from"] = "startup"
            scope["state"]["shared"] = started
            await send({"type": "lifespan.startup.complete"})
        else:
            print("shut down", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    if scope["type"] == "websocket":
        await socket_probe.application(scope, receive, send)
        return
    if scope["path"] == "/ws-told":
        await socket_probe.tell(scope, receive, send)
        return
    if scope["path"].startswith("/mounted"):
        await routes["/scope"](scope, receive, send)
        return
    function = routes.get(scope["path"]) or routes["/scope"]
    await function(scope, receive, send)


# ---- other applications

async def no_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await answer_json(send, scope["state"])


async def no_types(scope, receive, send):
    """Knows nothing of types: to lifespan it answers as to a request."""
    await receive()
    await answer(send, b"ok")


async def fails_to_start(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is not there"})
        return
    await answer(send, b"started all the same")


async def raises_at_start(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise LookupError("no such table")
    await answer(send, b"started all the same")


async def returns_at_start(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        return
    await answer(send, b"ok")


async def leaves_after_start(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["left"] = "behind"
        await send({"type": "lifespan.startup.complete"})
        return
    await answer_json(send, scope["state"])


async def fails_to_stop(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "the file is full"})
        return
    await answer(send, b"ok")


class Callable:
    async def __call__(self, scope, receive, send):
        await no_lifespan(scope, receive, send)

    async def method(self, scope, receive, send):
        await no_lifespan(scope, receive, send)


instance = Callable()
method = instance.method


def passes_on(scope, receive, send):
    return no_lifespan(scope, receive, send)


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]


class Scoped:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        pass
