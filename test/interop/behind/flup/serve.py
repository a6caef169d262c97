"""flup as it was used: a script that serves one application, with a socket of its own.

    serve.py fastcgi|scgi threaded|preforked PATH
"""

import sys

from flup.server import fcgi, fcgi_fork, scgi, scgi_fork

servers = {
    ("fastcgi", "threaded"): lambda path: fcgi.WSGIServer(application, bindAddress=path, umask=0),
    ("fastcgi", "preforked"): lambda path: fcgi_fork.WSGIServer(
        application, bindAddress=path, umask=0, minSpare=4, maxSpare=8, maxChildren=16
    ),
    ("scgi", "threaded"): lambda path: scgi.WSGIServer(
        application, scriptName="", bindAddress=path, umask=0, loggingLevel=30
    ),
    ("scgi", "preforked"): lambda path: scgi_fork.WSGIServer(
        application, scriptName="", bindAddress=path, umask=0, loggingLevel=30, minSpare=4, maxSpare=8, maxChildren=16
    ),
}

sys.path.insert(0, "/srv/mysite")
from app import application  # noqa: E402

if __name__ == "__main__":
    protocol, method, path = sys.argv[1:]
    servers[protocol, method](path).run()
