"""The same application for servers of ASGI 3 applications: requests run on 8 threads of each process, as frameworks do it with what
waits or computes without await."""

import asyncio
import concurrent.futures
import io

import faulty

threads = concurrent.futures.ThreadPoolExecutor(8)


def call(environ):
    heads = []
    body = b"".join(faulty.app(environ, lambda status, headers: heads.append((status, headers))))
    status, headers = heads[0]
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return int(status.split(" ", 1)[0]), fields, body


async def app(scope, receive, send):
    received = b""
    more = True
    while more:
        message = await receive()
        received += message.get("body", b"")
        more = message.get("more_body", False)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "wsgi.input": io.BytesIO(received),
    }
    status, fields, body = await asyncio.get_running_loop().run_in_executor(threads, call, environ)
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
