"""The application's start-up and shutdown (ASGI lifespan protocol)."""

import asyncio
import sys
import traceback

from ..wsgi import report

SPEC_VERSION = "2.0"  # of the lifespan protocol, which is numbered by itself


class StartupFailed(Exception):
    """The application says that it cannot start: ``problem`` is one sentence, ``trace`` the traceback it gave, or ""."""

    def __init__(self, why, trace=""):
        Exception.__init__(self, why)
        self.problem = "The application did not start: %s." % why.rstrip(".")
        self.trace = trace.rstrip("\n") + "\n" if trace else ""


class Lifespan:
    """An application that raises before it has answered does not know the protocol, and is served without ("the server must continue
    but not send any lifespan events"). One that cannot start says lifespan.startup.failed."""

    def __init__(self, application, loop):
        self._application = application
        self._loop = loop
        self._task = None
        self._told = []  # messages for the application
        self._waiter = None
        self._asked = False  # it was told to start
        self._foreign = False  # it answered with a message of another protocol
        self._started = loop.create_future()
        self._stopped = loop.create_future()
        self.state = {}

    async def startup(self):
        """Raises StartupFailed."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
            "state": self.state,
        }
        self._told.append({"type": "lifespan.startup"})
        self._task = self._loop.create_task(self._run(scope))
        problem = await self._started
        if problem is not None:
            raise problem

    async def shutdown(self):
        if self._task is None or self._task.done():
            return
        self._told.append({"type": "lifespan.shutdown"})
        self._wake()
        await self._stopped

    async def _run(self, scope):
        try:
            await self._application(scope, self._receive, self._send)
            self._settle(None)
        except BaseException as error:
            if self._started.done():
                # Cancelled it is where it waits although it has failed.
                if not self._stopped.done() and not isinstance(error, asyncio.CancelledError):
                    report("exception in the application's lifespan\n%s" % _traceback(error))
            else:
                if self._asked and not self._foreign:
                    report("exception before lifespan.startup was answered: the application is served without a lifespan\n%s" % _traceback(error))
                self._settle(None)
        finally:
            if not self._stopped.done():
                self._stopped.set_result(None)

    def _settle(self, problem):
        if not self._started.done():
            self._started.set_result(problem)

    def _wake(self):
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _receive(self):
        while not self._told:
            self._waiter = self._loop.create_future()
            await self._waiter
        self._asked = True
        return self._told.pop(0)

    async def _send(self, message):
        type = message["type"]
        if type == "lifespan.startup.complete":
            if self._started.done():
                raise RuntimeError("lifespan.startup.complete comes a second time")
            self._settle(None)
        elif type == "lifespan.startup.failed":
            if self._started.done():
                raise RuntimeError("lifespan.startup.failed comes after the start-up was complete")
            said = str(message.get("message", ""))
            lines = said.strip().split("\n")
            # Frameworks put a whole traceback there.
            self._settle(StartupFailed("it said %s" % (lines[-1] or "not why"), said if len(lines) > 1 else ""))
        elif type in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            if type.endswith("failed"):
                report("the application's shutdown failed: %s\n" % message.get("message", ""))
            if not self._stopped.done():
                self._stopped.set_result(None)
        else:
            self._foreign = not self._started.done()
            raise RuntimeError("%r is no message of the lifespan protocol" % (type,))



def _traceback(error):
    trace = error.__traceback__
    if trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
