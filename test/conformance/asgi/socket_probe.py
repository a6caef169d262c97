"""What the cases ask of WebSockets: each route does one thing that ASGI has a rule for, and tells what came of it."""

import asyncio
import json

routes = {}


def route(function):
    routes["/ws/" + function.__name__.replace("_", "-")] = function
    return function


def plain(value):
    if isinstance(value, bytes):
        return "b:" + value.decode("latin-1")
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


async def accept(receive, send, **more):
    assert (await receive()) == {"type": "websocket.connect"}
    await send(dict({"type": "websocket.accept"}, **more))


async def say(send, value):
    await send({"type": "websocket.send", "text": json.dumps(plain(value))})


async def failure(awaitable):
    """What a call raises, in words."""
    try:
        await awaitable
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)
    return "nothing"


@route
async def scope(scope, receive, send):
    await accept(receive, send)
    told = dict(scope)
    told["types"] = {key: type(value).__name__ for key, value in scope.items()}
    await say(send, told)
    await receive()


@route
async def echo(scope, receive, send):
    await accept(receive, send)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


@route
async def messages(scope, receive, send):
    """Tells each message as it came."""
    await accept(receive, send)
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        await say(send, message)


@route
async def agree(scope, receive, send):
    await accept(receive, send, subprotocol="superchat", headers=[(b"X-Told", b"yes"), [b"set-cookie", b"a=1"]])
    await receive()


@route
async def kinds(scope, receive, send):
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "gr\u00fc\u00df", "bytes": None})
    await send({"type": "websocket.send", "bytes": b"\x00\xff", "text": None})
    await send({"type": "websocket.send", "bytes": bytearray(b"array")})
    await send({"type": "websocket.send", "bytes": memoryview(b"view")})
    await send({"type": "websocket.send", "text": ""})
    await send({"type": "websocket.send", "bytes": b""})
    await receive()


@route
async def close(scope, receive, send):
    await accept(receive, send)
    await send({"type": "websocket.close", "code": 4001, "reason": "gr\u00fc\u00dfe"})
    remember(scope, await receive())


@route
async def close_plainly(scope, receive, send):
    await accept(receive, send)
    await send({"type": "websocket.close"})


@route
async def returns(scope, receive, send):
    await accept(receive, send)


@route
async def raises(scope, receive, send):
    await accept(receive, send)
    raise LookupError("no such room")


@route
async def forbid(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 4003})
    remember(scope, await receive())


@route
async def forbid_first(scope, receive, send):
    await send({"type": "websocket.close"})


@route
async def refuse(scope, receive, send):
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"x-why", b"late")]
    await send({"type": "websocket.http.response.start", "status": 409, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"come ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"again"})


@route
async def returns_at_once(scope, receive, send):
    pass


@route
async def raises_at_once(scope, receive, send):
    await receive()
    raise LookupError("no such room")


@route
async def disconnect(scope, receive, send):
    """What it is told of the end, twice, and what send() does then."""
    await accept(receive, send)
    first = await receive()
    while first["type"] == "websocket.receive":
        first = await receive()
    remember(scope, first)
    remember(scope, await receive())
    try:
        await send({"type": "websocket.send", "text": "too late"})
    except OSError:
        remember(scope, "OSError")


@route
async def leaves_early(scope, receive, send):
    await receive()
    remember(scope, "connect")
    remember(scope, await receive())


@route
async def out_of_order(scope, receive, send):
    told = {}
    told["early"] = await failure(send({"type": "websocket.send", "text": "x"}))
    told["unknown"] = await failure(send({"type": "http.response.start", "status": 200}))
    told["none"] = await failure(send({}))
    told["name"] = await failure(send({"type": "websocket.accept", "headers": [(b"a b", b"c")]}))
    told["own"] = await failure(send({"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"c")]}))
    told["subprotocol"] = await failure(send({"type": "websocket.accept", "subprotocol": "a b"}))
    told["body"] = await failure(send({"type": "websocket.http.response.body", "body": b""}))
    await accept(receive, send)
    told["again"] = await failure(send({"type": "websocket.accept"}))
    told["refuse"] = await failure(send({"type": "websocket.http.response.start", "status": 403}))
    told["empty"] = await failure(send({"type": "websocket.send"}))
    told["text"] = await failure(send({"type": "websocket.send", "text": b"x"}))
    told["bytes"] = await failure(send({"type": "websocket.send", "bytes": "x"}))
    told["code"] = await failure(send({"type": "websocket.close", "code": 1005}))
    told["reason"] = await failure(send({"type": "websocket.close", "reason": "x" * 124}))
    await say(send, told)
    await send({"type": "websocket.close"})
    remember(scope, await failure(send({"type": "websocket.send", "text": "x"})))
    remember(scope, await failure(send({"type": "websocket.close"})))


@route
async def pour(scope, receive, send):
    """Sends without end, and counts how much was taken."""
    await accept(receive, send)
    block = bytes(65536)
    for number in range(1, 100000):
        try:
            await send({"type": "websocket.send", "bytes": block})
        except OSError:
            remember(scope, "OSError")
            return
        if number == 1:
            remember(scope, "began")
        totals[query(scope)["key"]] = number


@route
async def hold(scope, receive, send):
    """Receives nothing until it is told to, and then counts."""
    await accept(receive, send)
    while query(scope)["key"] not in released:
        await asyncio.sleep(0.005)
    octets = 0
    while True:
        message = await receive()
        if message.get("text") == "done":
            break
        octets += len(message["bytes"])
    await say(send, octets)


@route
async def large(scope, receive, send):
    """Sends one message that is larger than what may be under way, among small ones."""
    await accept(receive, send)
    for octets in (b"before", bytes(3 * 1024 * 1024), b"after"):
        await send({"type": "websocket.send", "bytes": octets})
    await receive()


@route
async def both_ways(scope, receive, send):
    """Sends in one task while it receives in another."""
    await accept(receive, send)

    async def tick():
        number = 0
        while True:
            number += 1
            await send({"type": "websocket.send", "text": "tick %d" % number})
            await asyncio.sleep(0.005)

    task = asyncio.ensure_future(tick())
    try:
        while (await receive())["type"] == "websocket.receive":
            pass
    finally:
        task.cancel()


totals = {}
released = set()
told = {}


def query(scope):
    return dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)


def remember(scope, what):
    told.setdefault(query(scope)["key"], []).append(what)


async def tell(scope, receive, send):
    """Over HTTP: what was remembered, how many were taken; with release=1 lets go on."""
    key = query(scope)["key"]
    if "release" in query(scope):
        released.add(key)
    answer = json.dumps({"told": plain(told.get(key, [])), "taken": totals.get(key, 0)}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


async def application(scope, receive, send):
    await routes[scope["path"]](scope, receive, send)
