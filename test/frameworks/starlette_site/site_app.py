"""A small Starlette application: routes, class-based endpoints, sessions, static files, a mount, streams, WebSockets.

The environment says where things are, the same for every worker process:
    STARLETTE_SITE_SECRET   signs the session cookie
"""

import os
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.datastructures import URLPath
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

HERE = os.path.dirname(os.path.abspath(__file__))
templates = Jinja2Templates(os.path.join(HERE, "templates"))


class BySession(AuthenticationBackend):
    async def authenticate(self, connection):
        if "user" in connection.session:
            return AuthCredentials(["member"]), SimpleUser(connection.session["user"])
        return None


async def home(request):
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return templates.TemplateResponse(request, "home.html", {"visits": visits, "user": request.user.display_name})


class Login(HTTPEndpoint):
    async def get(self, request):
        return HTMLResponse("<form method=post><input name=name></form>")

    async def post(self, request):
        async with request.form() as form:
            if not form.get("name"):
                raise HTTPException(400, "A name, please.")
            request.session["user"] = form["name"]
        return RedirectResponse(request.url_for("home"), 303)


@requires("member")
async def members(request):
    return PlainTextResponse("for %s" % request.user.display_name)


async def where(request):
    return JSONResponse(
        {
            "home": str(request.url_for("home")),
            "style": str(request.url_for("static", path="style.css")),
            "url": str(request.url),
            "root_path": request.scope["root_path"],
            "path": request.scope["path"],
            "client": list(request.client),
        }
    )


async def nested(request):
    return JSONResponse({"name": request.path_params["name"], "list": str(request.url_for("nested:list"))})


async def listing(request):
    return PlainTextResponse("a list")


class Headers:
    """A plain ASGI application in the midst of them."""

    async def __call__(self, scope, receive, send):
        response = Response(b"", 204, headers={"X-Method": scope["method"], "Set-Cookie": "a=1"})
        response.raw_headers.append((b"set-cookie", b"b=2"))
        await response(scope, receive, send)


async def broken_stream(request):
    async def blocks():
        yield "the beginning"
        raise RuntimeError("broken in the midst")

    return StreamingResponse(blocks(), media_type="text/plain")


async def tell_state(request):
    return JSONResponse({"greeting": request.state.greeting, "pid": os.getpid()})


class Shout(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data.upper())


async def not_found(request, error):
    return PlainTextResponse("There is nothing at %s." % URLPath(request.url.path), 404)


@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "of the lifespan"}


app = Starlette(
    lifespan=lifespan,
    exception_handlers={404: not_found},
    middleware=[
        Middleware(SessionMiddleware, secret_key=os.environ["STARLETTE_SITE_SECRET"]),
        Middleware(AuthenticationMiddleware, backend=BySession()),
    ],
    routes=[
        Route("/", home, name="home"),
        Route("/login", Login),
        Route("/members", members),
        Route("/where", where),
        Route("/state", tell_state),
        Route("/broken-stream", broken_stream),
        Route("/headers", Headers(), methods=None),
        Mount(
            "/nested",
            routes=[Route("/", listing, name="list"), Route("/{name:path}", nested)],
            name="nested",
        ),
        Mount("/static", StaticFiles(directory=os.path.join(HERE, "static")), name="static"),
        WebSocketRoute("/shout", Shout),
    ],
)
