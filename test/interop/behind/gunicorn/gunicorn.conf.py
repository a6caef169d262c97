"""gunicorn behind the gateway, over HTTP on a unix socket."""

bind = "unix:/run/mysite/gunicorn.sock"
chdir = "/srv/mysite"
wsgi_app = "app:application"
workers = 2
threads = 4
worker_class = "gthread"
# Longer than the gateway keeps an idle connection, so that it is never gunicorn that closes one first.
keepalive = 75
