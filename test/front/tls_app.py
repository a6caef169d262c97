"""Answers with what it is told of the connection: a line for each variable."""


def app(environ, start_response):
    wanted = ("SSL_", "HTTPS", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT", "wsgi.url_scheme", "HTTP_SSL")
    lines = sorted("%s=%s" % (name, str(value).replace("\n", "|")) for name, value in environ.items() if name.startswith(wanted))
    body = "\n".join(lines).encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
