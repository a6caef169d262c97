"""The application to which bench/faults/ has things happen: the steps of test/support/promises_app.py, and a page that says which
version of the code answers."""

import time

import promises_app

# Replaced when newer code is deployed.
VERSION = "1"
# What else an application imports takes its time.
time.sleep(0.3)


def app(environ, start_response):
    if environ["PATH_INFO"] != "/version":
        return promises_app.app(environ, start_response)
    body = VERSION.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = app
