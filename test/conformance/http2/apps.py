"""What h2spec asks for: a page, the same over both interfaces, a moment after the request, so that what it sends behind a request is there."""
import asyncio
import time

MOMENT = 0.01
PAGE = b"A page of some octets.\n"


def wsgi(environ, start_response):
    time.sleep(MOMENT)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [PAGE]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(MOMENT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": PAGE})
