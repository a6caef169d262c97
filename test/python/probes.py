"""What an application can ask of its interpreter, each thing a function whose answer JSON can hold.

Under a server GET /NAME answers one; `python probes.py NAME` prints the same: what Python itself does is what is right.
"""

import json
import os
import sys
import threading
from urllib.parse import parse_qs

PROBES = {}


def probe(function):
    PROBES[function.__name__] = function
    return function


# --- the interpreter


@probe
def installation():
    import locale
    import site
    import sysconfig

    return {
        "executable": sys.executable,
        "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix],
        "version": sys.version,
        "flags": str(sys.flags),
        "options": [sys.warnoptions, sys._xoptions, sys.dont_write_bytecode],
        "path": sys.path[1:],
        "sites": site.getsitepackages(),
        "purelib": sysconfig.get_path("purelib"),
        "encodings": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), locale.getpreferredencoding(False)],
        "stdin": sys.stdin.encoding,
        "locale": locale.setlocale(locale.LC_ALL),
        "hash": hash("vivarium") if os.environ.get("PYTHONHASHSEED", "random") != "random" else None,
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "digits": getattr(sys, "get_int_max_str_digits", int)(),
    }


@probe
def process():
    mask = os.umask(0)
    os.umask(mask)
    names = {"_", "SHLVL", "OLDPWD"}  # the shell's
    environment = {name: value for name, value in os.environ.items() if name not in names}
    return {"cwd": os.getcwd(), "umask": mask, "environment": environment}


@probe
def from_site():
    """What a .pth file of the virtual environment brought about, when Python started."""
    import beside

    return [beside.WHERE, getattr(sys, "set_by_pth", None), "beside" in sys.modules]


@probe
def main_thread():
    return [threading.current_thread() is threading.main_thread(), threading.current_thread().name]


@probe
def signals():
    import signal

    # SIGINT and SIGTERM are the server's.
    return [int(signal.getsignal(each)) for each in (signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR2)]


@probe
def standard_library():
    import bz2
    import ctypes
    import datetime
    import decimal
    import hashlib
    import lzma
    import mmap
    import sqlite3
    import ssl
    import uuid
    import xml.etree.ElementTree as tree
    import zlib

    database = sqlite3.connect(":memory:")
    database.create_function("twice", 1, lambda n: 2 * n)
    memory = mmap.mmap(-1, 8)
    memory[:3] = b"abc"
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 5)(3, 1, 4, 1, 5)
    ctypes.CDLL(None).qsort(numbers, 5, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    with decimal.localcontext() as context:
        context.prec = 40
        root = str(decimal.Decimal(2).sqrt())
    return {
        "sqlite": database.execute("select twice(21)").fetchone(),
        "hash": hashlib.sha256(b"x").hexdigest(),
        "blake": hashlib.blake2b(b"x").hexdigest(),
        "tls": [ssl.OPENSSL_VERSION, len(ssl.create_default_context().get_ciphers())],
        "decimal": root,
        "compressed": [module.decompress(module.compress(b"x" * 99)).decode() for module in (bz2, lzma, zlib)],
        "xml": tree.fromstring("<a><b>c</b></a>").find("b").text,
        "sorted": list(numbers),
        "mapped": memory[:3].decode(),
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "vivarium")),
        "date": str(datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)),
    }


def _outcome(function):
    try:
        return type(function()).__name__
    except Exception as error:
        return type(error).__name__


@probe
def recursion():
    """Python gives up before the stack does."""
    import copy
    import functools
    import json
    import pickle
    import re

    def call(n):
        return call(n + 1)

    class Endless:
        def __getattr__(self, name):
            return getattr(self, name + "x")

        def __repr__(self):
            return repr(self)

        def __eq__(self, other):
            return other == self

        def __hash__(self):
            return hash(self)

    nested = []
    for _ in range(100000):
        nested = [nested]
    outcomes = {
        "call": _outcome(lambda: call(0)),
        "getattr": _outcome(lambda: Endless().x),
        "repr": _outcome(lambda: repr(Endless())),
        "equal": _outcome(lambda: Endless() == Endless()),
        "hash": _outcome(lambda: hash(Endless())),
        "list": _outcome(lambda: repr(nested)),
        "json": _outcome(lambda: json.dumps(nested)),
        "pickle": _outcome(lambda: pickle.dumps(nested)),
        "deepcopy": _outcome(lambda: copy.deepcopy(nested)),
        "sort": _outcome(lambda: sorted([Endless(), Endless()], key=functools.cmp_to_key(lambda a, b: hash(a)))),
        "pattern": _outcome(lambda: re.compile("(" * 5000 + ")" * 5000)),
        "minus": _outcome(lambda: compile("-" * 3000 + "1", "<minus>", "eval")),
        "attributes": _outcome(lambda: compile("a" + ".a" * 3000, "<attributes>", "eval")),
    }
    # Applications that need more say so; Python's own main thread has 8 MiB.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(8000)
    try:
        outcomes["call, 8000"] = _outcome(lambda: call(0))
    finally:
        sys.setrecursionlimit(limit)
    return outcomes


@probe
def big_stack():
    """A C function that takes megabytes of stack: glibc's qsort and printf do, up to a quarter of them."""
    import ctypes

    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(64)
    # alloca through printf's wide conversion of precision: %.*f makes its digits on the stack.
    written = libc.snprintf(buffer, ctypes.c_size_t(64), b"%.*f", ctypes.c_int(100000), ctypes.c_double(1.0))
    return [written, buffer.value.decode()[:8]]


@probe
def collector():
    import gc
    import weakref

    class Ring:
        pass

    ring = Ring()
    ring.itself = ring
    gone = weakref.ref(ring)
    del ring
    gc.collect()
    return [gc.isenabled(), gc.get_threshold(), gone() is None]


@probe
def environment_changes():
    import subprocess
    import time

    os.environ["VIVARIUM_PROBE"] = "café"
    os.environ["TZ"] = "UTC-5"
    time.tzset()
    try:
        said = subprocess.run(["sh", "-c", "echo $VIVARIUM_PROBE"], stdout=subprocess.PIPE).stdout
        return [os.fsdecode(said), time.strftime("%H", time.localtime(0)), os.getenv("VIVARIUM_PROBE")]
    finally:
        del os.environ["VIVARIUM_PROBE"], os.environ["TZ"]
        time.tzset()


# --- threads


_local = threading.local()
_idle = {"turns": 0, "thread": None}


@probe
def threads():
    results = []

    def work(n):
        _local.value = n
        barrier.wait()
        results.append(_local.value)

    barrier = threading.Barrier(4)
    started = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return [sorted(results), hasattr(_local, "value")]


@probe
def thread_pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda n: n * n, range(20)))


@probe
def timer():
    fired = threading.Event()
    threading.Timer(0.001, fired.set).start()
    return fired.wait(30)


# --- programs


@probe
def programs():
    import subprocess

    def shell(command, **options):
        options = dict({"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}, **options)
        done = subprocess.run(["sh", "-c", command], **options)
        return [done.returncode, len(done.stdout), done.stdout[:60].decode()]

    try:
        subprocess.run(["sleep", "60"], timeout=0.05)
        timed_out = False
    except subprocess.TimeoutExpired:
        timed_out = True
    return {
        "status": shell("exit 7"),
        "killed": shell("kill -9 $$"),
        "pipes": shell("cat; echo err >&2", input=b"in"),
        "large": shell("cat", input=b"x" * 3000000),
        "broken pipe": shell("yes | head -n 1"),
        "python": subprocess.check_output([sys.executable, "-c", "import sys; print(sys.prefix)"]).decode(),
        "system": os.system("exit 3"),
        "popen": os.popen("echo hello").read(),
        "missing": _outcome(lambda: subprocess.run(["/nonexistent/program"])),
        "timed out": timed_out,
    }


@probe
def inherited():
    """Which signals a program is deaf to and which descriptors it has: those Python would give it, none of the server's."""
    import subprocess

    code = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
held = []
for name in sorted(os.listdir("/proc/self/fd"), key=int):
    try:
        held.append([int(name), os.readlink("/proc/self/fd/" + name).split(":")[0]])
    except OSError:
        pass  # the listing itself
print([status["SigBlk"].strip(), status["SigIgn"].strip(), [fd for fd, _ in held]])
"""
    command = [sys.executable, "-S", "-c", code]
    return [subprocess.check_output(command, close_fds=close).decode() for close in (True, False)]


@probe
def asynchronous():
    import asyncio

    async def program(n):
        process = await asyncio.create_subprocess_exec("sh", "-c", "echo $1; exit $1", "sh", str(n), stdout=-1)
        said, _ = await process.communicate()
        return [said.decode(), process.returncode]

    async def over_a_socket():
        async def answer(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        said = await reader.read()
        writer.close()
        server.close()
        return said.decode()

    async def main():
        loop = asyncio.get_running_loop()
        return [
            await asyncio.gather(*(program(n) for n in range(3))),
            await over_a_socket(),
            await loop.run_in_executor(None, sum, [1, 2, 3]),
            await asyncio.wait_for(asyncio.sleep(0.001, "slept"), 30),
        ]

    return [asyncio.run(main()), asyncio.run(asyncio.sleep(0, "again"))]


# --- forks


@probe
def forks():
    read, write = os.pipe()
    statuses = []
    for status in range(3):
        child = os.fork()
        if not child:
            os.write(write, b"child %d\n" % status)
            os._exit(status)
        statuses.append(os.waitpid(child, 0)[1] >> 8)
    os.close(write)
    with open(read) as pipe:
        return [statuses, pipe.read()]


def square(n):
    return n * n


def put(queue, n):
    queue.put([n, __name__ != "__main__" or True, sys.executable])


def _with_method(method):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=put, args=(queue, n)) for n in range(2)]
    for each in processes:
        each.start()
    received = sorted(queue.get(timeout=60) for _ in processes)
    for each in processes:
        each.join()
    ours, theirs = context.Pipe()
    echo = context.Process(target=theirs.send, args=("through the pipe",))
    echo.start()
    piped = ours.recv()
    echo.join()
    with context.Pool(2) as pool:
        squares = pool.map(square, range(10))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        executed = list(executor.map(square, range(5)))
    failing = context.Process(target=sys.exit, args=(5,))
    failing.start()
    failing.join()
    return [received, [each.exitcode for each in processes], piped, squares, executed, failing.exitcode]


@probe
def multiprocessing_fork():
    return _with_method("fork")


@probe
def multiprocessing_spawn():
    return _with_method("spawn")


@probe
def multiprocessing_forkserver():
    return _with_method("forkserver")


@probe
def shared_memory():
    from multiprocessing import Manager, shared_memory

    memory = shared_memory.SharedMemory(create=True, size=16)
    try:
        memory.buf[:4] = b"abcd"
        again = shared_memory.SharedMemory(name=memory.name)
        seen = bytes(again.buf[:4]).decode()
        again.close()
    finally:
        memory.close()
        memory.unlink()
    with Manager() as manager:
        shared = manager.dict()
        shared["key"] = "value"
        return [seen, dict(shared)]


# --- C extensions of others


@probe
def numpy():
    import numpy

    generator = numpy.random.RandomState(7)
    matrix = generator.rand(300, 300)
    product = matrix @ numpy.linalg.inv(matrix)
    values = numpy.linalg.eigvalsh(matrix + matrix.T)
    return {
        "version": numpy.__version__,
        "identity": bool(numpy.allclose(product, numpy.eye(300))),
        "largest": round(float(values[-1]), 6),
        "transformed": [round(float(abs(x)), 6) for x in numpy.fft.fft(numpy.arange(8))],
        "objects": numpy.array([{"a": 1}, None], dtype=object).tolist(),
    }


@probe
def numpy_in_processes():
    """Linear algebra has threads of its own, which a fork loses."""
    import multiprocessing

    import numpy as np

    np.ones((400, 400)) @ np.ones((400, 400))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return [float(total) for total in pool.map(_sum_of_product, [100, 200])]


def _sum_of_product(n):
    import numpy as np

    return (np.ones((n, n)) @ np.ones((n, n))).sum()


_connections = {}


@probe
def psycopg():
    """A connection that is kept from request to request."""
    import psycopg

    connection = _connections.get("psycopg")
    kept = connection is not None
    if not kept:
        connection = _connections["psycopg"] = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("select generate_series(1, 3), 'caf\u00e9', now() > '2020-01-01'")
        rows = cursor.fetchall()
    return [psycopg.pq.__impl__, rows, connection.closed, kept or __name__ == "__main__"]


@probe
def psycopg2():
    import psycopg2

    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select 6 * 7, array[1, 2]")
            return cursor.fetchone()
    finally:
        connection.close()


@probe
def sqlalchemy():
    import sqlalchemy as sa

    engine = _connections.get("sqlalchemy")
    if engine is None:
        url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
        engine = _connections["sqlalchemy"] = sa.create_engine(url, pool_size=2)
    with engine.begin() as connection:
        connection.execute(sa.text("create temporary table things (name text) on commit drop"))
        connection.execute(sa.text("insert into things values (:name)"), [{"name": "a"}, {"name": "b"}])
        names = connection.execute(sa.text("select name from things order by name")).scalars().all()
    return [list(names), engine.pool.checkedin()]


# --- what is not the same under `python`: effects the tests look at


def first_on_path():
    return sys.path[0]


def arguments():
    return sys.argv


def turns():
    """A thread that runs while the server idles counts its turns."""
    if _idle["thread"] is None:

        def run():
            tick = threading.Event()
            while True:
                tick.wait(0.001)
                _idle["turns"] += 1

        _idle["thread"] = threading.Thread(target=run, daemon=True)
        _idle["thread"].start()
    return _idle["turns"]


def background():
    """A request that waits for a thread."""
    done = threading.Event()
    threading.Thread(target=lambda: (sum(range(200000)), done.set())).start()
    return done.wait(60)


def prints():
    import logging

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    print("printed")
    print("printed without a line's end", end="")
    sys.stdout.flush()
    print()
    sys.stderr.write("written to standard error\n")
    logging.info("logged caf\u00e9")
    os.write(1, b"by the descriptor\n")
    os.system("echo by a program")
    return True


def takes_signals(name="SIGTERM"):
    import signal

    previous = signal.signal(getattr(signal, name), lambda *_: None)
    return previous is None or isinstance(previous, int) or callable(previous)


def at_exit(path):
    import atexit

    def last():
        with open(path, "a") as file:
            file.write("atexit\n")

    atexit.register(last)
    return True


def child_that_stays(path):
    """Forks a process that outlives the request, and says who it is."""
    child = os.fork()
    if not child:
        import time

        while not os.path.exists(path):
            time.sleep(0.005)
        os._exit(0)
    return child


def child_that_returns():
    """A child that goes on as if it were the server."""
    return os.fork()


def child_that_raises():
    child = os.fork()
    if not child:
        raise RuntimeError("in the child")
    return child


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


EFFECTS = {
    function.__name__: function
    for function in (
        first_on_path,
        arguments,
        turns,
        background,
        prints,
        takes_signals,
        at_exit,
        child_that_stays,
        child_that_returns,
        child_that_raises,
        memory,
    )
}


def child_that_writes(start_response):
    """A child that answers by the callable that start_response gives, as if it were the server."""
    child = os.fork()
    write = start_response("200 OK", [("Content-Type", "application/json")])
    write(b"%d" % child)
    return []


def child_that_streams(start_response):
    """A child made in the midst of a response."""
    start_response("200 OK", [("Content-Type", "application/json")])
    yield b" "
    child = os.fork()
    yield b"%d" % child
    yield b" "


RESPONSES = {"child_that_writes": child_that_writes, "child_that_streams": child_that_streams}


def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    arguments = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    if name in RESPONSES:
        return RESPONSES[name](start_response)
    answer = PROBES[name]() if name in PROBES else EFFECTS[name](**arguments)
    body = json.dumps(answer, sort_keys=True).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(PROBES[argument](), sort_keys=True))
