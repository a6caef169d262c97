def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [("The blog of %s\n" % environ["HTTP_HOST"]).encode()]
