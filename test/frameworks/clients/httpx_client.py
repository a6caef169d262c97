"""Asks the FastAPI site as programs do, by httpx: python httpx_client.py URL. Prints what it found as JSON."""

import asyncio
import hashlib
import json
import ssl
import sys

import httpx


async def pieces(count, size):
    for number in range(count):
        yield bytes([number % 256]) * size


def sha256_of_pieces(count, size):
    digest = hashlib.sha256()
    for number in range(count):
        digest.update(bytes([number % 256]) * size)
    return digest.hexdigest()


async def ask(client):
    found = {}
    many = await asyncio.gather(*(client.get("/who") for _ in range(60)))
    found["processes"] = len({answer.json()["pid"] for answer in many})
    found["statuses"] = sorted({answer.status_code for answer in many})

    answer = await client.post("/raw", content=pieces(300, 5000))
    found["streamed"] = [answer.json()["size"], answer.json()["sha256"] == sha256_of_pieces(300, 5000)]

    files = {"file": ("by-httpx.bin", b"\0\r\n--" * 40000, "application/octet-stream")}
    answer = await client.post("/upload", files=files, data={"comment": "na\u00efve"})
    found["uploaded"] = [answer.json()["size"], answer.json()["comment"]]

    size = 0
    async with client.stream("GET", "/large/3000000") as answer:
        async for piece in answer.aiter_bytes():
            size += len(piece)
    found["large"] = size

    answer = await client.get("/seen/a%2Fb/\u00fc", params={"q": "\u2713 +"}, cookies={"one": "1", "two": "2"})
    seen = answer.json()
    found["seen"] = [seen["path"], seen["raw_path"], seen["query"], seen["cookies"]]
    found["version"] = [answer.http_version, seen["http_version"]]

    answer = await client.get("/trouble")
    found["trouble"] = [answer.status_code, answer.json()]
    return found


async def main(url):
    limits = httpx.Limits(max_connections=20)
    options = {"http2": True, "verify": ssl.create_default_context(cafile=sys.argv[2])} if len(sys.argv) > 2 else {}
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False, **options) as client:
        print(json.dumps(await ask(client)))


asyncio.run(main(sys.argv[1]))
