"""A chat: a plain ASGI 3.0 application of the standard library alone, for Python 3.8 and later.

    vivarium run                in this folder: vivarium.toml says the rest
    CHAT_DB=/path/to/file       where SQLite keeps what was said

Routes: GET / (the page), GET /events (server-sent events), POST /say (JSON), GET /style.css, GET /chat.js.
"""

import asyncio
import json
import os

from room import Room

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = os.environ.get("CHAT_DB") or os.path.join(HERE, "chat.sqlite3")

HISTORY = 50  # messages that who comes in is shown
HEARTBEAT = 15  # seconds of silence after which a stream says that it is there, so that no proxy takes it for dead
BODY_LIMIT = 8192
NAME_LIMIT = 40
TEXT_LIMIT = 1000

#: Nothing but our own files loads; no page may frame us.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)


def _file(name, type):
    with open(os.path.join(HERE, name), "rb") as file:
        body = file.read()
    return body, [(b"content-type", type), (b"cache-control", b"no-cache"), (b"content-security-policy", POLICY)]


FILES = {
    "/": _file("page.html", b"text/html; charset=utf-8"),
    "/style.css": _file("style.css", b"text/css; charset=utf-8"),
    "/chat.js": _file("chat.js", b"text/javascript; charset=utf-8"),
}


class Refusal(Exception):
    def __init__(self, status, sentence, headers=()):
        super().__init__(sentence)
        self.status = status
        self.headers = list(headers)


async def answer(send, status, body=b"", headers=()):
    headers = [*headers, (b"content-length", b"%d" % len(body)), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _field(scope, name):
    return next((value for found, value in scope["headers"] if found == name), b"")


# ---- listening


def _event(row):
    id, at, name, text = row
    data = json.dumps({"at": at, "name": name, "text": text})
    return ("id: %d\ndata: %s\n\n" % (id, data)).encode()


async def _until_left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(scope, receive, send):
    """What was said and what is being said. A browser that lost the connection says which was the last it has."""
    room = scope["state"]["room"]
    last = _field(scope, b"last-event-id")
    last = int(last) if last.isdigit() and len(last) < 18 else room.before_last(HISTORY)
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = asyncio.ensure_future(_until_left(receive))
    try:
        body = b": welcome\n\n"
        while not left.done():
            # Before the room is read: what is said meanwhile is news.
            news = room.news
            rows = room.after(last)
            if rows:
                last = rows[-1][0]
                body += b"".join(map(_event, rows))
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.wait({left, news}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            body = b"" if news.done() else b": still here\n\n"
    except OSError:
        pass  # the client left while it was sent to
    finally:
        left.cancel()


# ---- speaking


async def _body(receive):
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise Refusal(413, "That is too much to say at once.")
        if not message.get("more_body", False):
            return body


def _words(value, most, what):
    words = " ".join(value.split()) if isinstance(value, str) else ""
    if not words or len(words) > most:
        raise Refusal(400, "%s takes 1 to %d characters." % (what, most))
    return words


async def say(scope, receive, send):
    # A page of another site cannot send this type without asking first (CORS), and is not answered.
    if _field(scope, b"content-type").partition(b";")[0].strip().lower() != b"application/json":
        raise Refusal(415, "What is said is JSON.")
    try:
        message = json.loads(await _body(receive))
    except ValueError:
        raise Refusal(400, "That is not JSON.") from None
    if not isinstance(message, dict):
        raise Refusal(400, "That is not a message.")
    name = _words(message.get("name"), NAME_LIMIT, "A name")
    text = _words(message.get("text"), TEXT_LIMIT, "A message")
    await scope["state"]["room"].say(name, text)
    await answer(send, 204)


# ---- the application

ROUTES = {"/events": {"GET": events}, "/say": {"POST": say}}


async def _route(scope, receive, send):
    path = scope["path"][len(scope["root_path"]) :]
    method = scope["method"]
    if path in FILES and method in ("GET", "HEAD"):
        body, headers = FILES[path]
        await answer(send, 200, body, headers)
        return
    methods = ROUTES.get(path) or ({"GET": None} if path in FILES else None)
    if methods is None:
        raise Refusal(404, "There is nothing here.")
    if method not in methods:
        raise Refusal(405, "That is not done here.", [(b"allow", ", ".join(methods).encode())])
    await methods[method](scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    try:
        room = scope["state"]["room"] = Room(DATABASE)
    except Exception as error:
        # Without this it would be an application without a lifespan, and be asked for pages all the same.
        await send({"type": "lifespan.startup.failed", "message": "The room is closed: %s." % error})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await room.close()
    await send({"type": "lifespan.shutdown.complete"})


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    if scope["type"] != "http":
        raise ValueError("this chat speaks HTTP, not %s" % scope["type"])
    try:
        await _route(scope, receive, send)
    except Refusal as refusal:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *refusal.headers]
        await answer(send, refusal.status, ("%s\n" % refusal).encode(), headers)
    except ConnectionError:
        pass
