"""Says a few things to the echo at each URL given, by the library websockets, and prints what came of it."""

import asyncio
import sys

import websockets


async def parts():
    for number in range(5):
        yield "part %d " % number


async def talk(url):
    async with websockets.connect(url, max_size=None) as socket:
        for message in ("hello", "gr\u00fc\u00df" * 50000, bytes(1000000), "", b""):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(parts())
        assert await socket.recv() == "part 0 part 1 part 2 part 3 part 4 "
        await (await socket.ping())
        extensions = [extension.name for extension in socket.protocol.extensions]
    print(socket.close_code, *extensions)


for each in sys.argv[1:]:
    asyncio.run(talk(each))
