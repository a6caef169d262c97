"""httpx over HTTP/2: a page, an upload that comes back, and many requests at once on one connection. Arguments: URL, CA file."""

import asyncio
import sys

import httpx

url, authority = sys.argv[1:]


async def main():
    async with httpx.AsyncClient(http1=False, http2=True, verify=authority or True) as client:
        page = await client.get(url + "/")
        print(page.http_version, page.text)
        large = bytes(range(256)) * 8192
        echoed = await client.post(url + "/echo", content=large)
        print(echoed.status_code, echoed.content == large)
        pages = await asyncio.gather(*(client.get(url + "/many") for _ in range(20)))
        print({len(page.content) for page in pages})


asyncio.run(main())
