"""wsgi.file_wrapper: PEP 3333, "Optional Platform-Specific File Handling"."""

import gzip
import io
import os
import tempfile
import threading

from probe_routes import TEXT, answer, query, record, route

CONTENT = b"".join(b"%07d\n" % line for line in range(40000))


def _file():
    file = tempfile.TemporaryFile()
    file.write(CONTENT)
    file.seek(0)
    return file


class _Recorded:
    """A file-like object over another, whose close() is remembered."""

    def __init__(self, environ, file):
        self._environ = environ
        self._file = file
        self.read = file.read

    def close(self):
        record(self._environ, "close")
        self._file.close()


class _RecordedWithDescriptor(_Recorded):
    def fileno(self):
        return self._file.fileno()


class _ReadOnly:
    """read() is all a file-like object must have."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


def _wrapped(environ, start_response, file, *headers):
    start_response("200 OK", [TEXT] + list(headers))
    return environ["wsgi.file_wrapper"](file, 4096)


@route("/file/real")
def real(environ, start_response):
    return _wrapped(environ, start_response, _file(), ("Content-Length", str(len(CONTENT))))


@route("/file/unknown-length")
def unknown_length(environ, start_response):
    return _wrapped(environ, start_response, _file())


@route("/file/default-block")
def default_block(environ, start_response):
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](_file())


@route("/file/from-position")
def from_position(environ, start_response):
    # "transmission should begin at the current position of the file": the object's, which a buffer separates from
    # the descriptor's.
    file = _file()
    file.readline()
    return _wrapped(environ, start_response, file)


@route("/file/part", legal=False)
def part(environ, start_response):
    # Content-Length bounds what is sent, as of any body.
    return _wrapped(environ, start_response, _file(), ("Content-Length", "100"))


@route("/file/too-short", legal=False)
def too_short(environ, start_response):
    return _wrapped(environ, start_response, _file(), ("Content-Length", str(len(CONTENT) + 1)))


@route("/file/empty")
def empty(environ, start_response):
    return _wrapped(environ, start_response, tempfile.TemporaryFile())


@route("/file/bytes-io")
def bytes_io(environ, start_response):
    return _wrapped(environ, start_response, io.BytesIO(CONTENT))


@route("/file/read-only-object")
def read_only_object(environ, start_response):
    return _wrapped(environ, start_response, _ReadOnly(CONTENT))


@route("/file/close")
def close(environ, start_response):
    return _wrapped(environ, start_response, _Recorded(environ, io.BytesIO(CONTENT)))


@route("/file/close-with-descriptor")
def close_with_descriptor(environ, start_response):
    return _wrapped(environ, start_response, _RecordedWithDescriptor(environ, _file()))


@route("/file/pipe")
def pipe(environ, start_response):
    # A descriptor with neither size nor position.
    reader, writer = os.pipe()

    def fill():
        with os.fdopen(writer, "wb") as sink:
            sink.write(CONTENT)

    threading.Thread(target=fill, daemon=True).start()
    return _wrapped(environ, start_response, os.fdopen(reader, "rb"))


@route("/file/gzip")
def gzipped(environ, start_response):
    # fileno() of a GzipFile is that of the compressed file: what counts is what read() gives.
    return _wrapped(environ, start_response, gzip.GzipFile(fileobj=_gzip_file()))


def _gzip_file():
    file = tempfile.TemporaryFile()
    file.write(gzip.compress(CONTENT))
    file.seek(0)
    return file


@route("/file/replaced-by-middleware")
def replaced_by_middleware(environ, start_response):
    # A middleware may iterate the wrapper itself and return something else.
    wrapper = _wrapped(environ, start_response, io.BytesIO(CONTENT))
    blocks = [block.replace(b"0", b"o") for block in wrapper]
    record(environ, "largest block: %d" % max(map(len, blocks)))
    if hasattr(wrapper, "close"):
        wrapper.close()
    return blocks


@route("/file/dropped")
def dropped(environ, start_response):
    # Made, and not returned: nothing of the file is sent.
    environ["wsgi.file_wrapper"](_file())
    return answer(start_response, "something else")


@route("/file/content")
def content(environ, start_response):
    """What the other routes are to answer, without a file."""
    start = int(query(environ, "start", "0"))
    return answer(start_response, CONTENT[start:])
