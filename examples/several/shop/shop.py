def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [("The shop, at %s%s\n" % (environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode()]
