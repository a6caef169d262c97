"""As promises_app.py, for ASGI. The path is a token of the request's own and the body of its answer; the query says what happens before:

sleep=MS    so long it waits
wait=NAME   until somebody makes the file NAME
swallow=NAME the same, whatever is raised meanwhile
block=NAME  the same, and the event loop with it
hold=NAME   the same, in a function that keeps all that is raised in it to itself
die         its process ends with status 7
once=NAME   the rest of the query only where nobody has made the file NAME yet
events=NAME the answer is a stream of events, until somebody makes the file NAME
stream=NAME the answer has no length, and ends when somebody makes the file NAME

A WebSocket is accepted, told its worker's process id, and then what it says; "die" ends the process with status 7.

A file ``refuse`` in the current directory makes the start-up fail. The body of a request follows its token in the answer.
"""

import asyncio
import os
import time


def first(name):
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


async def wait_for(name):
    while not os.path.exists(name):
        await asyncio.sleep(0.002)


async def swallow(name):
    while True:
        try:
            return await wait_for(name)
        except BaseException:
            pass


def block(name):
    while not os.path.exists(name):
        time.sleep(0.002)


def hold(name):
    while True:
        try:
            return block(name)
        except BaseException:
            pass


async def stream(send, token, kind, name):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"data: %s\n\n" % token, "more_body": True})
    await wait_for(name)
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


async def listened(send, token, receive):
    """Events without an end, but for the client's."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: " + token + b"\n\n", "more_body": True})
    await receive()
    message = await receive()
    print("events told: " + message["type"], flush=True)


async def socket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(os.getpid())})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("told of %d" % message["code"], flush=True)
            return
        if message["text"] == "die":
            os._exit(7)
        await send({"type": "websocket.send", "text": message["text"]})


async def lifespan(receive, send):
    await receive()
    if os.path.exists("refuse"):
        await send({"type": "lifespan.startup.failed", "message": "RuntimeError: this code is refused"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        return await socket(receive, send)
    token = scope["path"][1:].encode("latin-1")
    for step in filter(None, scope["query_string"].decode().split("&")):
        verb, _, value = step.partition("=")
        if verb == "sleep":
            await asyncio.sleep(int(value) / 1000)
        elif verb == "wait":
            await wait_for(value)
        elif verb == "swallow":
            await swallow(value)
        elif verb == "block":
            block(value)
        elif verb == "hold":
            hold(value)
        elif verb == "die":
            os._exit(7)
        elif verb == "once" and not first(value):
            break
        elif verb == "listened":
            return await listened(send, token, receive)
        elif verb == "events":
            return await stream(send, token, b"text/event-stream", value)
        elif verb == "stream":
            return await stream(send, token, b"text/plain", value)
    body = token
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
