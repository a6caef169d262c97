# gunicorn, directly on its port. gthread and gevent keep connections alive, sync cannot.
bind = "127.0.0.1:{{PORT}}"
chdir = "{{APPS}}"
worker_class = "{{CLASS}}"
workers = {{WORKERS}}
threads = {{THREADS}}
preload_app = {{PRELOAD}}
keepalive = 75
worker_connections = {{CONNECTIONS}}
accesslog = None
loglevel = "warning"
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
