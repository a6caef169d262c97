"""Answers with what it saw of a request: method, path, query, body, and the variables named in the field Show.

    vivarium run echo_app:application --chdir test/conformance/http
"""


def application(environ, start_response):
    seen = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]
    if environ["QUERY_STRING"]:
        seen += "?" + environ["QUERY_STRING"]
    if "CONTENT_LENGTH" in environ:
        seen += ' "' + environ["wsgi.input"].read().decode("latin-1") + '"'
    for name in environ.get("HTTP_SHOW", "").split():
        seen += " %s=%s" % (name, environ[name]) if name in environ else " no %s" % name
    body = seen.encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Seen-By", "echo")])
    return [body]
