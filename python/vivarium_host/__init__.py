"""The Python side of Vivarium: hosts the interpreter that runs a web application. Standard library only, Python 3.8+."""


class RequestTimeout(BaseException):
    """Raised in the thread that executes a request for longer than --request-timeout allows; its client has been answered.

    Like KeyboardInterrupt no Exception, so that what is meant for the application's own errors does not catch it.
    """
