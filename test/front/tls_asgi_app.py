"""As tls_app.py, of the "tls" extension: a line for each of its keys, and nothing where there is none."""


async def app(scope, receive, send):
    kind = {"http": "http.response", "websocket": "websocket.http.response"}[scope["type"]]
    told = scope["extensions"].get("tls", {})
    lines = ["%s=%s" % (name, str(value).replace("\\n", "|")) for name, value in sorted(told.items())]
    body = "\n".join(["scheme=" + scope["scheme"], *lines]).encode()
    await send({"type": kind + ".start", "status": 200 if kind == "http.response" else 403, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": kind + ".body", "body": body})
