# gunicorn, directly on its port. gthread keeps connections alive, sync cannot.
bind = "127.0.0.1:{{PORT}}"
chdir = "{{APPS}}"
worker_class = "{{CLASS}}"
workers = 2
threads = {{THREADS}}
preload_app = True
keepalive = 75
accesslog = None
loglevel = "warning"
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
