"""What clients of HTTP/2 ask for: an echo, a page with an early hint and trailers, much in many pieces, and a WebSocket."""


async def echo(scope, receive, send):
    """Says first what it came over."""
    await receive()
    if scope["path"] == "/refused":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await send({"type": "websocket.send", "text": "%s %s" % (scope["http_version"], scope["scheme"])})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return print("closed with %d %s" % (message["code"], message.get("reason", "")), flush=True)
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        return await echo(scope, receive, send)
    if scope["type"] != "http":
        return
    trailers = "http.response.trailers" in scope["extensions"]
    if scope["path"] == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
    if scope["path"] == "/hints" and trailers:
        start["trailers"] = True
    await send(start)
    if scope["path"] == "/echo":
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
    elif scope["path"] == "/many":
        for at in range(100):
            await send({"type": "http.response.body", "body": b"%08d" % at * 1000, "more_body": at < 99})
    else:
        told = "%s %s" % (scope["http_version"], scope["scheme"])
        await send({"type": "http.response.body", "body": told.encode()})
        if start.get("trailers"):
            await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"1234")]})
