"""Speaks WebSocket with the sites of this folder, by the websockets library: python websockets_client.py WHAT URL. Prints what it found as JSON."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def options(**more):
    return {"proxy": None, "max_size": 2**24, "open_timeout": 60, "ping_timeout": 60, **more}


async def end_of(websocket):
    try:
        while True:
            await websocket.recv()
    except ConnectionClosed:
        return [websocket.close_code, websocket.close_reason]


async def refused(url):
    try:
        async with connect(url, **options()):
            return "accepted"
    except InvalidStatus as error:
        return error.response.status_code


async def echo(url):
    """FastAPI's echo: messages of both kinds and all sizes, whole and in pieces, as they were sent."""
    found = {}
    for name, more in [("compressed", {}), ("plain", {"compression": None})]:
        async with connect(url + "/ws/echo?key=" + name, **options(**more)) as websocket:
            messages = ["", "\u00dcn\u00efcode \u2713", b"", bytes(range(256)), "x" * 70000, b"\0\xff" * 600000]
            for message in messages:
                await websocket.send(message)
            back = [await websocket.recv() for _ in messages]
            await websocket.send(["in ", "three ", "pieces"])
            back.append(await websocket.recv())
            await (await websocket.ping())
            found[name] = back == [*messages, "in three pieces"]
            await websocket.close(4000, "that was all \u2713")
    return found


async def many(url):
    """So many connections at once, each with many messages."""

    async def one(number):
        async with connect(url + "/ws/echo", **options()) as websocket:
            for count in range(20):
                await websocket.send("%d %d" % (number, count))
                if await websocket.recv() != "%d %d" % (number, count):
                    return False
        return True

    return sum(await asyncio.gather(*(one(number) for number in range(200))))


async def vanish(url):
    """Leaves without a word."""
    websocket = await connect(url + "/ws/echo?key=vanished", **options())
    await websocket.send("here")
    await websocket.recv()
    websocket.transport.abort()
    return "left"


async def guest(url):
    """FastAPI's dependency, subprotocol, fields of the handshake and close code."""
    headers = {"Cookie": "one=1"}
    more = {"subprotocols": ["second", "first"], "additional_headers": headers}
    async with connect(url + "/ws/guest?token=analytical", **options(**more)) as websocket:
        welcome = json.loads(await websocket.recv())
        return {
            "welcome": welcome,
            "subprotocol": websocket.subprotocol,
            "field": websocket.response.headers["X-Process"].isdigit(),
            "end": await end_of(websocket),
            "refused": await refused(url + "/ws/guest?token=wrong"),
            "nowhere": await refused(url + "/ws/nowhere"),
        }


async def shout(url):
    """Starlette's endpoint of a class: text, and closed with 1003 over octets."""
    async with connect(url + "/shout", **options()) as websocket:
        await websocket.send("quiet")
        heard = await websocket.recv()
        await websocket.send(b"octets")
        return [heard, await end_of(websocket)]


async def room(url):
    """Channels: everybody in a room hears everybody, in all processes."""
    origin = {"origin": url.replace("ws://", "http://")}
    members = [await connect(url + "/ws/library", **options(**origin)) for _ in range(8)]
    found = {"entered": [json.loads(await member.recv()) for member in members]}
    await members[0].send(json.dumps({"text": "\u00dcn\u00efcode \u2713"}))
    found["heard"] = [json.loads(await member.recv()) for member in members]
    await members.pop().close(4002)
    found["left"] = [json.loads(await member.recv()) for member in members]
    for member in members:
        await member.close()
    found["closed"] = await refused(url + "/ws/closed")
    try:
        await connect(url + "/ws/library", **options(origin="http://elsewhere.example"))
        found["elsewhere"] = "accepted"
    except InvalidStatus as error:
        found["elsewhere"] = error.response.status_code
    return found


async def stay(url):
    """Stays until the server ends it."""
    async with connect(url, **options()) as websocket:
        await websocket.send("here")
        await websocket.recv()
        print("connected", flush=True)
        return await end_of(websocket)


scripts = {each.__name__: each for each in (echo, many, vanish, guest, shout, room, stay)}
# Whoever waits for it is to be told what hangs.
found = asyncio.run(asyncio.wait_for(scripts[sys.argv[1]](sys.argv[2]), 90))
print(json.dumps(found), flush=True)
