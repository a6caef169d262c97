"""A guestbook: a plain WSGI application (PEP 3333) of the standard library alone, for Python 3.8 and later.

    vivarium run                    in this folder: vivarium.toml says the rest
    GUESTBOOK_DB=/path/to/file      where SQLite keeps the entries
    DATABASE_URL=postgresql://…     PostgreSQL instead

Routes: GET / (?before=ID), POST /sign, GET /healthz, GET /style.css, GET /favicon.svg.
"""

import hashlib
import os
import re
import secrets
import time
from urllib.parse import parse_qs, urlsplit

import page
from store import StoreError, open_store

PAGE_SIZE = 20
#: The most octets of a form: 1,060 characters, each up to twelve octets when percent-encoded, and change.
FORM_LIMIT = 16384

HTML = ("Content-Type", "text/html; charset=utf-8")
#: Nothing but our own style sheet and icon loads; no page may frame us, no form post elsewhere.
SECURITY = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    # Not no-referrer: with it browsers send `Origin: null` with our own form, which from_elsewhere() refuses.
    ("Referrer-Policy", "same-origin"),
]

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "style.css"), "rb") as _file:
    STYLE = _file.read()
STYLE_VERSION = hashlib.sha256(STYLE).hexdigest()[:12]

store = open_store()


class Refusal(Exception):
    """A request that is answered with a page of one sentence."""

    def __init__(self, status, heading, sentence, headers=()):
        super().__init__(status)
        self.status = status
        self.heading = heading
        self.sentence = sentence
        self.headers = list(headers)


class Response:
    def __init__(self, status, body=b"", headers=()):
        self.status = status
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        self.headers = list(headers) + [("Content-Length", str(len(self.body)))]


def _page(environ, status, title, body, headers=()):
    """A whole HTML page; never kept by a cache, since the next one has other entries."""
    text = page.document(environ.get("SCRIPT_NAME", ""), STYLE_VERSION, title, body)
    return Response(status, text, [HTML, ("Cache-Control", "no-store")] + SECURITY + list(headers))


def _home(environ, status, form, before=None):
    began = time.perf_counter()
    entries = store.newest(PAGE_SIZE + 1, before)
    count = store.count()
    seconds = time.perf_counter() - began
    listing = {
        "entries": entries[:PAGE_SIZE],
        "older": len(entries) > PAGE_SIZE,
        "paged": before is not None,
        "count": count,
    }
    body = page.home(environ.get("SCRIPT_NAME", ""), listing, form, os.getpid(), store.name, seconds)
    return _page(environ, status, "The guestbook", body)


def show(environ):
    before = parse_qs(environ.get("QUERY_STRING", "")).get("before", [None])[0]
    if before is not None and not re.fullmatch("[0-9]{1,18}", before):
        raise Refusal("404 Not Found", "No such page", "Pages are numbered by the entry they come before.")
    form = {"token": secrets.token_urlsafe(16), "name": "", "message": "", "problems": {}}
    return _home(environ, "200 OK", form, None if before is None else int(before))


def from_elsewhere(environ):
    """Whether a page of another site made the browser send this request.

    Browsers say so themselves: in Sec-Fetch-Site, older ones by the Origin they send with every POST. A client that
    sends neither is no browser, and carries nobody's authority without knowing it.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and urlsplit(origin).netloc.lower() != environ.get("HTTP_HOST", "").lower()


def _read_form(environ):
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refusal("415 Unsupported Media Type", "Not a form", "The guestbook is signed with its form.")
    length = environ.get("CONTENT_LENGTH") or "0"
    length = int(length) if length.isdecimal() else FORM_LIMIT + 1
    if length > FORM_LIMIT:
        raise Refusal("413 Content Too Large", "Too long", "That is more than fits on a page of this book.")
    text = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, errors="replace", max_num_fields=10)
    except ValueError:
        raise Refusal("400 Bad Request", "Not our form", "The form has three fields; this one has too many.") from None
    return {name: values[0] for name, values in fields.items()}


#: C0 and C1 control characters except line feed, and the marks that turn the direction of what follows them.
_UNWANTED = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _clean(text):
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")).strip()


def _problems(name, message):
    problems = {}
    if not name:
        problems["name"] = "Please tell us your name."
    elif len(name) > page.NAME_LIMIT:
        problems["name"] = "At most %d characters, please; this has %d." % (page.NAME_LIMIT, len(name))
    if not message:
        problems["message"] = "Please write something."
    elif len(message) > page.MESSAGE_LIMIT:
        problems["message"] = "At most %d characters, please; this has %d." % (page.MESSAGE_LIMIT, len(message))
    return problems


def sign(environ):
    if from_elsewhere(environ):
        raise Refusal("403 Forbidden", "Sent from elsewhere", "The guestbook can only be signed on its own page.")
    fields = _read_form(environ)
    name = " ".join(_clean(fields.get("name", "")).split())
    message = _clean(fields.get("message", ""))
    token = fields.get("token", "")
    if not re.fullmatch(r"[\w-]{16,64}", token, re.ASCII):
        token = secrets.token_urlsafe(16)
    problems = _problems(name, message)
    if problems:
        form = {"token": token, "name": name, "message": message, "problems": problems}
        return _home(environ, "422 Unprocessable Content", form)
    entry = store.add(token, name, message)
    # 303: the browser fetches the page anew, and reloading that does not sign again.
    return Response("303 See Other", headers=[("Location", "%s/#entry-%d" % (environ.get("SCRIPT_NAME", ""), entry))])


def health(_environ):
    store.count()
    return Response("200 OK", "ok\n", [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])


def _asset(content_type, body):
    # Addressed by a hash of the content (the icon never changes), so it may be kept for good.
    headers = [("Content-Type", content_type), ("Cache-Control", "public, max-age=31536000, immutable")]
    return lambda _environ: Response("200 OK", body, headers)


ROUTES = {
    "/": {"GET": show},
    "/sign": {"POST": sign},
    "/healthz": {"GET": health},
    "/style.css": {"GET": _asset("text/css; charset=utf-8", STYLE)},
    "/favicon.svg": {"GET": _asset("image/svg+xml", page.FAVICON)},
}


def _respond(environ):
    methods = ROUTES.get(environ.get("PATH_INFO") or "/")
    if methods is None:
        raise Refusal("404 Not Found", "No such page", "This book has no page of that name.")
    method = environ["REQUEST_METHOD"]
    handler = methods.get("GET" if method == "HEAD" else method)
    if handler is None:
        allowed = ", ".join(["GET", "HEAD"] if "GET" in methods else list(methods))
        raise Refusal("405 Method Not Allowed", "Not like that", "This page knows %s only." % allowed, [("Allow", allowed)])
    return handler(environ)


def application(environ, start_response):
    try:
        response = _respond(environ)
    except Refusal as refusal:
        body = page.notice(environ.get("SCRIPT_NAME", ""), refusal.status, refusal.heading, refusal.sentence)
        response = _page(environ, refusal.status, refusal.heading, body, refusal.headers)
    except StoreError as error:
        print("guestbook:", error, file=environ["wsgi.errors"])
        status = "503 Service Unavailable"
        sentence = "The database does not answer at the moment. Nothing is lost; try again in a few seconds."
        body = page.notice(environ.get("SCRIPT_NAME", ""), status, "Back in a moment", sentence)
        response = _page(environ, status, "Back in a moment", body, [("Retry-After", "5")])
    start_response(response.status, response.headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]
