"""Makes scopes of what a REQUEST frame says (src/python/wire/README.md), and messages' headers of what applications give."""

import json
import re
from urllib.parse import unquote_to_bytes

from .. import wire
from ..wsgi import HOP_BY_HOP

# The newest that is implemented: with 2.4 send() raises OSError once the client has left.
SPEC_VERSION = "2.5"
PARTS_MOST = 512  # connections, paths, and both together, whose part of the scope is kept
HEADS_MOST = 512  # heads of responses

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# Visible octets, spaces, tabs and obs-text (RFC 9110 section 5.5): no CR, LF, NUL or other control octet.
VALUE = re.compile(rb"[\t -~\x80-\xff]*").fullmatch
DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch
DROPPED = frozenset(name.encode() for name in HOP_BY_HOP)

_parts = {}
_paths = {}
_scopes = {}
_heads = {}
_last = (0, None, None)  # status, headers and head of the response before


def _client(host, port):
    """None on a unix socket. A proxy need not know the port."""
    return (host.decode("latin-1"), int(port or 0)) if host else None


def _server(host, port):
    """Of a unix socket its path."""
    if not port:
        return (host.decode("utf-8", "surrogateescape"), None) if host else None
    return host.decode("latin-1"), int(port)


def _part(shared):
    """What the requests of a connection share: the scope as far as it goes, its headers, and what is known of TLS."""
    scheme, client, client_port, server, server_port, *fields = shared.split(b"\0")
    tls = None
    if fields and fields[0] == b":tls":
        tls = json.loads(fields[1].decode("latin-1"))
        del fields[:2]
    names = iter(fields)
    base = {
        "scheme": scheme.decode("latin-1"),
        "client": _client(client, client_port),
        "server": _server(server, server_port),
    }
    if len(_parts) >= PARTS_MOST:
        _parts.clear()
    part = _parts[shared] = (base, list(zip(names, names)), tls)
    return part


def _path(own):
    """What a request says of itself."""
    method, root, raw, query, version = own.split(b"\0")
    path = unquote_to_bytes(raw) if b"%" in raw else raw
    if len(_paths) >= PARTS_MOST:
        _paths.clear()
    found = _paths[own] = {
        "http_version": version.decode("latin-1"),
        "method": method.decode("latin-1").upper(),
        "path": path.decode("utf-8", "replace"),
        "raw_path": raw,
        "query_string": query,
        "root_path": root.decode("utf-8", "replace"),
    }
    return found


def _scope(shared, own):
    """What is the same in each such request of a connection."""
    base, headers, tls = _parts.get(shared) or _part(shared)
    if len(_scopes) >= PARTS_MOST:
        _scopes.clear()
    scope = {"type": "http", "asgi": None, **(_paths.get(own) or _path(own)), **base, "headers": None, "extensions": None, "state": None}
    found = _scopes[shared, own] = (scope, headers, tls)
    return found


def http_scope(shared, own, flags, state):
    """The scope of a request, from octets, or from a wire.Kept and None. What is mutable in it is the request's own."""
    if own is None:
        made = shared.made
        if made is None:
            made = shared.made = _scope(shared.shared, shared.own)
        same, headers, tls = made
    else:
        same, headers, tls = _scopes.get((shared, own)) or _scope(shared, own)
    extensions = {"http.response.pathsend": {}}
    if flags:
        if flags & wire.FLAG_TAKES_HINTS:
            extensions["http.response.early_hint"] = {}
        if flags & wire.FLAG_TAKES_TRAILERS:
            extensions["http.response.trailers"] = {}
    if tls is not None:
        extensions["tls"] = tls.copy()
    scope = same.copy()
    scope["asgi"] = {"version": "3.0", "spec_version": SPEC_VERSION}
    scope["headers"] = headers.copy()
    scope["extensions"] = extensions
    scope["state"] = state.copy()
    return scope


def websocket_scope(shared, own, state):
    """As http_scope, of a request for a WebSocket."""
    base, headers, tls = _parts.get(shared) or _part(shared)
    scope = {
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        **(_paths.get(own) or _path(own)),
        **base,
        "type": "websocket",
        "scheme": "wss" if base["scheme"] == "https" else "ws",
        "headers": headers.copy(),
        "subprotocols": [
            each.strip(" \t")
            for name, value in headers
            if name == b"sec-websocket-protocol"
            for each in value.decode("latin-1").split(",")
            if each.strip(" \t")
        ],
        "extensions": {"websocket.http.response": {}},
        "state": state.copy(),
    }
    if tls is not None:
        scope["extensions"]["tls"] = tls.copy()
    del scope["method"]
    return scope


def field_lines(headers, what):
    """Validates headers and encodes them as field lines: ``(octets, flags, content length or -1)``.

    Raises TypeError or ValueError with a sentence for the application's author.
    """
    flags = 0
    length = -1
    lines = []
    try:
        pairs = [tuple(pair) for pair in headers]
    except TypeError:
        raise TypeError("the headers of %s are to be pairs of byte strings, not %r" % (what, headers)) from None
    for pair in pairs:
        if len(pair) != 2:
            raise ValueError("a header is a name and a value, not %r" % (pair,))
        name, value = pair
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError("name and value of a header are byte strings, not %r" % (pair,))
        if TOKEN(name) is None:
            raise ValueError("%r is not a header name" % (name,))
        value = value.strip(b" \t")
        if VALUE(value) is None:
            raise ValueError("the value of the header %r has characters that a header cannot have: %r" % (name, value))
        lowered = name.lower()
        if lowered in DROPPED:
            # It speaks of the connection, which is the server's; that it is to end may be asked for.
            if lowered == b"connection" and b"close" in map(bytes.strip, value.lower().split(b",")):
                flags |= wire.FLAG_CLOSES
            continue
        if lowered == b"content-length":
            if DIGITS(value) is None:
                raise ValueError("content-length is %r, not a number of octets" % (value,))
            if length >= 0:
                if length != int(value):
                    raise ValueError("content-length is given twice, and differently")
                continue
            length = int(value)
            flags |= wire.FLAG_HAS_LENGTH
        elif lowered == b"date":
            flags |= wire.FLAG_HAS_DATE
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines), flags, length


def response_head(message):
    """``(status, flags, head as in the wire's RESPONSE frame, content length or -1)`` of http.response.start."""
    global _last
    status = message.get("status")
    headers = message.get("headers", ())
    # Equal to what has passed: a list that is another's is compared, so that it may be changed.
    if headers == _last[1] and status == _last[0] and type(status) is int:
        return _last[2]
    key = None
    if not isinstance(headers, (list, tuple)):
        try:
            headers = list(headers)
        except TypeError:
            raise TypeError("the headers of http.response.start are %r, not pairs of byte strings" % (headers,)) from None
    try:
        key = (status, *map(tuple, headers))
        known = _heads.get(key)
        if known is not None and type(status) is int:  # 200 == 200.0
            _last = (status, list(key[1:]), known)
            return known
    except TypeError:
        pass  # one of them is something that cannot be: what, is said below
    if not isinstance(status, int) or isinstance(status, bool):
        said = "has no status" if status is None else "has the status %r" % (status,)
        raise TypeError("http.response.start %s; it takes a number" % said)
    if not 200 <= status <= 999:
        raise ValueError("http.response.start has the status %d; it takes one from 200 to 999" % status)
    lines, flags, length = field_lines(headers, "http.response.start")
    head = (status, flags, REASONS.get(status, b"") + b"\r\n" + lines, length)
    if key is not None and len(head[2]) < 2048:
        if len(_heads) >= HEADS_MOST:
            _heads.clear()
        _heads[key] = head
    return head


def announced(head, headers):
    """The head with what the application says of its trailers (RFC 9110 section 6.6.2), for a client that takes them."""
    status, flags, octets, length = head
    lines = (b"trailer: %s\r\n" % value.strip(b" \t") for name, value in headers if name.lower() == b"trailer")
    return status, flags, octets + b"".join(lines), length


def _reasons():
    from http import HTTPStatus

    return {int(each): each.phrase.encode() for each in HTTPStatus}


REASONS = _reasons()
