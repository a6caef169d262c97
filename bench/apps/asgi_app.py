"""The same pages as app.py's for servers of ASGI 3 applications: what waits, waits with await, as such an application would."""

import asyncio

import app as pages


async def pieces(receive):
    found = []
    while True:
        message = await receive()
        found.append(message.get("body", b""))
        if not message.get("more_body", False):
            return found


async def download(send, octets):
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % octets)]})
    left = octets
    while left > 0:
        piece = pages.CHUNK[:left]
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def echo(receive, send):
    """Sends back what comes on a WebSocket."""
    while True:
        message = await receive()
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        elif message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            return


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        return await echo(receive, send)
    path = scope["path"]
    if path == "/hello":
        body = pages.HELLO
    elif path == "/wait":
        await asyncio.sleep(0.005)
        body = pages.HELLO
    elif path == "/await":
        await asyncio.sleep(0.01)
        body = pages.HELLO
    elif path == "/slow":
        await asyncio.sleep(0.1)
        body = pages.HELLO
    elif path == "/compute":
        body = b"%d\n" % pages.work(pages.ITERATIONS)
    elif path == "/big":
        body = pages.BIG
    elif path == "/upload":
        body = b"%d\n" % sum(map(len, await pieces(receive)))
    elif path == "/echo":
        body = b"".join(await pieces(receive))
    elif path == "/version":
        body = pages.VERSION
    elif path == "/download":
        return await download(send, int(scope["query_string"]))
    else:
        raise LookupError(path)
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
