"""The spawner: imports the application once and forks workers from itself, so that they share its memory.

It has one thread and one loop. Commands come as JSON lines over descriptor 3, events go back the same way:

    {"do": "spawn", "worker": 1}    fork a worker
    {"do": "ping"}                  say that it is there
    (end of file)                   the supervisor is gone: end every worker, then itself

    {"event": "loaded", "preload": true, "python": "3.11.7", "application": "shop:app", "interface": "asgi", "eventLoop": "asyncio"}
    {"event": "failed", "problem": "…", "traceback": "…"}
    {"event": "forked", "worker": 1, "pid": 4711}
    {"event": "unforked", "worker": 1, "problem": "Resource temporarily unavailable"}
    {"event": "exited", "worker": 1, "pid": 4711, "status": 0, "signal": 0}
    {"event": "alive"}
    {"event": "output", "worker": 1, "text": "a line\\n"}
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import time

from . import worker
from .forked import ignore
from .load import LoadError, load, prepare
from .wsgi import Host, report

CONTROL = 3  # descriptor
LOAD_FAILED = 3  # exit status of a worker that could not load the application by itself
LINE_MOST = 16384  # octets of a worker's output passed on without a line end
MERCY = 1.0  # seconds workers have to end by themselves once the supervisor is gone


def python_version():
    """As platform.python_version() gives it, whose module takes milliseconds to import."""
    return sys.version.split()[0].rstrip("+")


def threads_started():
    """Whether this process has more than one thread, by the kernel's account: a fork would lose them."""
    return len(os.listdir("/proc/self/task")) > 1


def flush_streams():
    """Before a fork or exec. The application may have closed or replaced what it prints to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # what cannot be printed is no reason to end every worker


class Output:
    """The pipe a worker writes its output to."""

    def __init__(self, worker, descriptor):
        self.worker = worker
        self.descriptor = descriptor
        self._rest = b""

    def read(self):
        """Text to pass on, in whole lines; None at the end. Raises BlockingIOError while there is nothing."""
        data = os.read(self.descriptor, 65536)
        if not data:
            rest, self._rest = self._rest, b""
            return (rest.decode("utf-8", "replace") + "\n") if rest else None
        data = self._rest + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > LINE_MOST:
            cut = len(data)
        self._rest = data[cut:]
        return data[:cut].decode("utf-8", "replace")


class Spawner:
    def __init__(self, settings):
        self._settings = settings
        self._parent = os.getppid()
        self._control = socket.socket(fileno=CONTROL)
        os.set_inheritable(CONTROL, False)  # not for the programs the application starts
        self._control.setblocking(True)
        self._commands = b""
        self._workers = {}  # pid: worker number
        self._outputs = {}  # descriptor: Output
        self._poll = select.poll()
        self._readers = {}  # descriptor: what to call when it can be read
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._host = None

    def tell(self, **event):
        try:
            self._control.sendall(json.dumps(event).encode() + b"\n")
        except OSError:
            pass  # the supervisor is gone: the loop reads the end of file

    def make_host(self):
        settings = self._settings
        application, name, interface = load(settings["target"], settings["interface"])
        if interface == "asgi":
            from .asgi.host import Host as AsgiHost

            return AsgiHost(application, settings["eventLoop"]), name
        threads = settings["threads"]
        return Host(application, threads > 1, settings["workers"] > 1), name

    def load(self):
        """Imports the application here if workers are to share it. False: it cannot be loaded."""
        settings = self._settings
        if settings["limits"]:
            from . import interrupt  # here once instead of in each worker
        if settings["memory"]:
            from . import memory
        prepare(settings["target"], settings["chdir"])
        name = settings["target"]
        # Of what each worker imports nobody knows it, unless it was imported here before.
        interface = "" if settings["interface"] == "auto" else settings["interface"]
        event_loop = ""
        if settings["preload"]:
            try:
                self._host, name = self.make_host()
            except LoadError as error:
                self.tell(event="failed", problem=error.problem, traceback=error.trace)
                return False
            interface = self._host.interface
            event_loop = self._host.event_loop
            if threads_started():
                # A forked child has one thread only, and locks that the others held stay locked in it.
                settings["preload"] = False
                settings["interface"] = interface
                flush_streams()
                os.set_inheritable(CONTROL, True)
                host = os.path.dirname(os.path.abspath(__file__))
                os.execv(sys.executable, [sys.executable, host, "spawn", json.dumps(settings)])
            gc.collect()
            gc.freeze()
        self.tell(
            event="loaded",
            preload=settings["preload"],
            python=python_version(),
            application=name,
            interface=interface,
            eventLoop=event_loop,
        )
        return True

    def loop(self):
        """Serves commands. Returns a worker's settings in the forked child, None in the spawner when it is to end."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        # A terminal's Ctrl-C and a service manager's SIGTERM reach every process of a group, but it is the supervisor who
        # ends workers. Handlers, not SIG_IGN: programs that the application starts must not inherit deafness.
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, ignore)
        self._watch(self._control.fileno(), self._on_command)
        self._watch(self._wake_read, self._on_signal)
        while True:
            for descriptor, _ in self._poll.poll():
                reader = self._readers.get(descriptor)
                outcome = reader() if reader is not None else None
                if outcome is not None:
                    return outcome or None

    def _watch(self, descriptor, reader):
        self._readers[descriptor] = reader
        self._poll.register(descriptor, select.POLLIN)

    def _on_command(self):
        try:
            data = self._control.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._end()
            return {}
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["do"] == "spawn":
                settings = self._fork(command["worker"])
                if settings is not None:
                    return settings
            elif command["do"] == "ping":
                self.tell(event="alive")
        return None

    def _fork(self, number):
        flush_streams()
        pipe = ()
        try:
            pipe = read, write = os.pipe()
            pid = os.fork()
        except OSError as error:
            # No process, memory or descriptor left. The workers there are serve on; the supervisor asks again.
            for descriptor in pipe:
                os.close(descriptor)
            self.tell(event="unforked", worker=number, problem=os.strerror(error.errno))
            return None
        if pid:
            os.close(write)
            os.set_blocking(read, False)
            self._workers[pid] = number
            output = Output(number, read)
            self._outputs[read] = output
            self._watch(read, lambda: self._on_output(output))
            self.tell(event="forked", worker=number, pid=pid)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        for output in self._outputs.values():
            os.close(output.descriptor)
        for descriptor in (self._wake_read, self._wake_write, read):
            os.close(descriptor)
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(write)
        settings = dict(self._settings, worker=number)
        settings["scoreboard"] = os.path.join(settings["scoreboards"], "%d-%d" % (settings["generation"], number))
        return settings

    def _on_output(self, output):
        self._pass_on(output)

    def _pass_on(self, output):
        """Passes on what a worker printed; False when there was nothing."""
        try:
            text = output.read()
        except BlockingIOError:
            return False
        if text is None:
            self._poll.unregister(output.descriptor)
            del self._readers[output.descriptor]
            os.close(output.descriptor)
            del self._outputs[output.descriptor]
            return False
        if text:
            self.tell(event="output", worker=output.worker, text=text)
        return True

    def _on_signal(self):
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        self._reap()

    def _reap(self):
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            number = self._workers.pop(pid, None)
            if number is None:
                continue
            for output in list(self._outputs.values()):
                if output.worker == number:
                    # Its last words come before the news of its end: the first read takes what was in the pipe, the second
                    # tells an unfinished line, the third finds the end. A program it started may hold the pipe open, and
                    # write to it for ever.
                    for _ in range(3):
                        if not self._pass_on(output):
                            break
            self.tell(
                event="exited",
                worker=number,
                pid=pid,
                status=os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
                signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            )

    def _end(self):
        """The supervisor closed the control connection or died: gives workers time to end by themselves, then ends them."""
        limit = time.monotonic() + MERCY
        while self._workers and time.monotonic() < limit:
            for output in list(self._outputs.values()):
                self._pass_on(output)
            self._reap()
            time.sleep(0.005)
        for pid in list(self._workers):
            os.kill(pid, signal.SIGKILL)
        while self._workers:
            self._reap()
            time.sleep(0.005)
        if os.getppid() != self._parent:
            # The supervisor died. A front removes its folder, but there may be none at the moment.
            import shutil

            shutil.rmtree(self._settings["runtime"], ignore_errors=True)


def main(settings):
    """Runs the spawner, and in each forked child a worker, whose exit status it returns."""
    spawner = Spawner(settings)
    if not spawner.load():
        return 1
    own = spawner.loop()
    if own is None:
        # Not by sys.exit(): what the application registered with atexit is for the processes that served requests.
        flush_streams()
        os._exit(0)
    host = spawner._host
    if host is None:
        try:
            host, _ = spawner.make_host()
        except LoadError as error:
            report(error.trace + error.problem)
            return LOAD_FAILED
    return worker.run(host, own)
