"""Runs an ASGI 3.0 application: one event loop a worker, a task for each request."""
