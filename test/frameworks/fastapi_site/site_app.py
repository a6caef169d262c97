"""A small FastAPI application of the kind people have: typed parameters, dependencies, background tasks, uploads, streams, WebSockets.

The environment says where things are, the same for every worker process:
    FASTAPI_SITE_FOLDER   for the database, uploaded files, the gates of the streams, and what was noticed
"""

import asyncio
import hashlib
import json
import os
import sqlite3
import time
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

FOLDER = os.environ["FASTAPI_SITE_FOLDER"]


def in_folder(name):
    return os.path.join(FOLDER, os.path.basename(name))


def notice(name, text):
    """Leaves a word for the test, whole or not at all."""
    with open(in_folder(name + ".new"), "w") as file:
        file.write(text)
    os.rename(in_folder(name + ".new"), in_folder(name))


async def gate(name):
    """Waits until the test has opened it."""
    for _ in range(4000):
        if os.path.exists(in_folder("gate-" + name)):
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("nobody opened gate %s" % name)


@asynccontextmanager
async def lifespan(app):
    with sqlite3.connect(in_folder("site.sqlite3"), timeout=20) as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL)"
        )
    database.close()
    yield {"born": time.time(), "answered": [0]}
    notice("goodbye-%d" % os.getpid(), "of the lifespan")


app = FastAPI(title="Notes", lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=1000)


async def name_the_process(request, call_next):
    request.state.answered[0] += 1
    response = await call_next(request)
    response.headers["X-Process"] = str(os.getpid())
    return response


app.add_middleware(BaseHTTPMiddleware, dispatch=name_the_process)


# ---- dependencies


def database():
    """A connection for one request; FastAPI runs this, and what follows the yield, on threads."""
    connection = sqlite3.connect(in_folder("site.sqlite3"), timeout=20, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


async def author(authorization: Annotated[str | None, Header()] = None):
    if authorization != "Bearer analytical":
        raise HTTPException(401, "Who are you?", headers={"WWW-Authenticate": "Bearer"})
    return "ada"


Database = Annotated[sqlite3.Connection, Depends(database)]
Author = Annotated[str, Depends(author)]


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=1000)


class Saved(Note):
    id: int
    author: str


@app.get("/notes")
def list_notes(database: Database, limit: Annotated[int, Query(ge=1, le=1000)] = 1000) -> list[Saved]:
    rows = database.execute("SELECT id, author, text FROM notes ORDER BY id LIMIT ?", (limit,))
    return [Saved(**dict(row)) for row in rows]


@app.post("/notes", status_code=201)
def add_note(note: Note, database: Database, author: Author) -> Saved:
    id = database.execute("INSERT INTO notes (author, text) VALUES (?, ?)", (author, note.text)).lastrowid
    return Saved(id=id, author=author, text=note.text)


# ---- after the response


@app.post("/later/{name}", status_code=202)
async def later(name: str, tasks: BackgroundTasks):
    """The task ends when the test says so: the response is not to wait for it."""

    async def work():
        await gate(name)
        notice("done-" + name, "on the loop")

    def work_on_a_thread():
        notice("thread-" + name, "on a thread")

    tasks.add_task(work)
    tasks.add_task(work_on_a_thread)
    return {"accepted": name}


# ---- bodies


@app.post("/upload")
async def upload(file: UploadFile, comment: Annotated[str, Form()] = ""):
    sha256 = hashlib.sha256()
    with open(in_folder("file-" + file.filename), "wb") as saved:
        while block := await file.read(65536):
            sha256.update(block)
            saved.write(block)
    return {"name": file.filename, "size": file.size, "sha256": sha256.hexdigest(), "comment": comment}


@app.post("/raw")
async def raw(request: Request):
    """The body as it comes; notices the first of it, so that the test knows that it is read while it is sent."""
    sha256 = hashlib.sha256()
    pieces = 0
    size = 0
    async for piece in request.stream():
        if size == 0 and piece and "watch" in request.query_params:
            notice("first-" + request.query_params["watch"], str(len(piece)))
        pieces += 1 if piece else 0
        size += len(piece)
        sha256.update(piece)
    return {"size": size, "pieces": pieces, "sha256": sha256.hexdigest()}


@app.get("/files/{name}")
async def download(name: str):
    path = in_folder("file-" + name)
    if not os.path.exists(path):
        raise HTTPException(404, "There is no such file.")
    return FileResponse(path, filename=name)


# ---- streams


@app.get("/stream/{key}")
async def stream(key: str, word: str):
    """Lines 0 to 4, each only after the client has had the one before: it opens the gate to the next."""

    async def lines():
        for number in range(5):
            if number:
                await gate("%s-%d" % (key, number))
            yield "%s %d\n" % (word, number)

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/events/{key}")
async def events(key: str, request: Request):
    """Server-sent events until the client has had enough."""

    async def counting():
        number = 0
        try:
            while not await request.is_disconnected():
                yield "id: %d\ndata: %s\n\n" % (number, json.dumps({"number": number}))
                number += 1
                await asyncio.sleep(0.01)
        finally:
            notice("left-" + key, "events")

    return StreamingResponse(counting(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


@app.get("/patient/{key}")
async def patient(key: str, request: Request):
    """Says nothing, and notices that the client has left."""
    notice("waiting-" + key, "")
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            notice("left-" + key, "patient")
            return JSONResponse({})


@app.get("/large/{size}")
async def large(size: int):
    """More than anybody holds in memory."""

    async def blocks():
        left = size
        while left > 0:
            block = bytes([left % 251]) * min(left, 65536)
            left -= len(block)
            yield block

    return StreamingResponse(blocks(), media_type="application/octet-stream")


# ---- what goes wrong


class Trouble(Exception):
    pass


@app.exception_handler(Trouble)
async def handle_trouble(request, error):
    return JSONResponse({"trouble": str(error)}, status_code=418)


@app.get("/trouble")
async def trouble():
    raise Trouble("handled")


@app.get("/broken")
async def broken():
    raise RuntimeError("broken on purpose")


# ---- what the server says


@app.get("/who")
async def who(request: Request):
    await asyncio.sleep(0.02)
    return {"pid": os.getpid(), "answered": request.state.answered[0], "loop": type(asyncio.get_running_loop()).__module__}


@app.get("/blocking")
def blocking():
    """An ordinary function: on a thread, beside the loop."""
    time.sleep(0.2)
    return {"pid": os.getpid()}


@app.get("/seen/{path:path}")
async def seen(request: Request):
    scope = request.scope
    return {
        "url": str(request.url),
        "base": str(request.base_url),
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "http_version": scope["http_version"],
        "client": request.client.host,
        "cookies": request.cookies,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
    }


# ---- WebSockets


async def guest(websocket: WebSocket, token: str = ""):
    if token != "analytical":
        raise WebSocketException(1008, "Who are you?")
    return "ada"


@app.websocket("/ws/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as left:
        if "key" in websocket.query_params:
            notice("closed-" + websocket.query_params["key"], "%s %s" % (left.code, left.reason))


@app.websocket("/ws/guest")
async def with_dependency(websocket: WebSocket, name: Annotated[str, Depends(guest)]):
    offered = websocket.scope["subprotocols"]
    await websocket.accept(offered[0] if offered else None, headers=[(b"x-process", str(os.getpid()).encode())])
    await websocket.send_json({"welcome": name, "cookies": websocket.cookies, "path": websocket.url.path})
    await websocket.close(4001, "that was all")
