#!/bin/sh
# Whoever starts this has put the listening socket at descriptor 0, as FastCGI says.
exec /usr/local/bin/vivarium run /srv/mysite/app.py --listen fastcgi://fd:0 --workers 1 --threads 1
