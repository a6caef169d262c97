"""Where the guestbook's entries live: an SQLite file, or PostgreSQL when DATABASE_URL says so.

A store is used by several processes and by several threads of each. Every thread has a connection of its own, made
when it first asks for one: never before the server forks its workers, since no connection survives a fork. A
connection that broke, as every one does when the database is restarted, is replaced and the statement repeated; adding
an entry twice is harmless, because its token is unique.
"""

import os
import sqlite3
import threading
import time
from collections import namedtuple
from urllib.parse import urlsplit

Entry = namedtuple("Entry", "id name message created")

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id {identity},
    token TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    created DOUBLE PRECISION NOT NULL
)"""


class StoreError(Exception):
    """The database cannot be used at present; the message is a sentence for the log."""


class _Store:
    """What both stores do alike. A subclass says how to connect and how its SQL marks a parameter."""

    name = ""
    mark = "?"
    #: Exceptions after which a connection is dropped and the statement tried once more.
    broken = ()
    #: Every exception of the driver.
    failed = ()

    def __init__(self):
        self._local = threading.local()

    def connect(self):
        raise NotImplementedError

    def _connection(self):
        # The process is part of the key: what a parent opened is not a child's to use.
        if getattr(self._local, "process", None) != os.getpid():
            self._local.connection = self.connect()
            self._local.process = os.getpid()
        return self._local.connection

    def _drop(self):
        self._local.process = None
        connection, self._local.connection = getattr(self._local, "connection", None), None
        if connection is not None:
            try:
                connection.close()
            except self.failed:
                pass

    def _execute(self, statement, parameters=()):
        """Runs one statement, in a transaction of its own, and gives its rows."""
        statement = statement.replace("?", self.mark)
        for last in (False, True):
            try:
                cursor = self._connection().cursor()
                try:
                    cursor.execute(statement, parameters)
                    return cursor.fetchall() if cursor.description else []
                finally:
                    cursor.close()
            except self.failed as error:
                self._drop()
                if last or not isinstance(error, self.broken):
                    raise StoreError("%s: %s" % (self.name, str(error).strip() or type(error).__name__)) from error
        return []

    def newest(self, limit, before=None):
        """Up to `limit` entries, newest first; those older than entry `before` where it is given."""
        older, parameters = ("WHERE id < ?", (before, limit)) if before is not None else ("", (limit,))
        rows = self._execute(
            "SELECT id, name, message, created FROM entries %s ORDER BY id DESC LIMIT ?" % older, parameters
        )
        return [Entry(*row) for row in rows]

    def count(self):
        return self._execute("SELECT count(*) FROM entries")[0][0]

    def add(self, token, name, message):
        """Adds an entry and gives its id. The second time a token comes, the entry it made the first time stays."""
        self._execute(
            "INSERT INTO entries (token, name, message, created) VALUES (?, ?, ?, ?) ON CONFLICT (token) DO NOTHING",
            (token, name, message, time.time()),
        )
        return self._execute("SELECT id FROM entries WHERE token = ?", (token,))[0][0]


class SqliteStore(_Store):
    name = "SQLite"
    failed = (sqlite3.Error,)
    # A file that was deleted under a connection shows as a read-only or missing database: open it anew.
    broken = (sqlite3.OperationalError,)

    #: How long to wait for another process that is writing, in seconds.
    PATIENCE = 10

    def __init__(self, path):
        super().__init__()
        self.path = path

    def connect(self):
        deadline = time.monotonic() + self.PATIENCE
        while True:
            # isolation_level None: each statement is its own transaction.
            connection = sqlite3.connect(self.path, timeout=self.PATIENCE, isolation_level=None)
            try:
                # Write-ahead log: readers and a writer do not wait for each other. With it NORMAL loses nothing when a
                # process dies, and at most the last entries when the machine does.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(SCHEMA.format(identity="INTEGER PRIMARY KEY AUTOINCREMENT"))
                return connection
            except sqlite3.OperationalError:
                # Changing the journal mode does not honour the timeout, so workers that start together may collide.
                connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


class PostgresStore(_Store):
    name = "PostgreSQL"
    mark = "%s"

    #: An arbitrary number all workers share: CREATE TABLE IF NOT EXISTS fails when two run it at the same moment.
    SCHEMA_LOCK = 7146921

    def __init__(self, url):
        super().__init__()
        self._url = url
        self._driver = _postgres_driver()
        self.failed = (self._driver.Error,)
        self.broken = (self._driver.OperationalError, self._driver.InterfaceError)

    def connect(self):
        connection = self._driver.connect(self._url, connect_timeout=5)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT to_regclass('entries') IS NOT NULL")
        if not cursor.fetchone()[0]:
            cursor.execute(
                "BEGIN; SELECT pg_advisory_xact_lock(%d); %s; COMMIT"
                % (self.SCHEMA_LOCK, SCHEMA.format(identity="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"))
            )
        cursor.close()
        return connection


def _postgres_driver():
    try:
        import psycopg

        return psycopg
    except ImportError:
        pass
    try:
        import psycopg2

        return psycopg2
    except ImportError:
        raise RuntimeError(
            "DATABASE_URL asks for PostgreSQL, but neither psycopg nor psycopg2 is installed: "
            "run `pip install 'psycopg[binary]'`, or unset DATABASE_URL to keep the entries in SQLite."
        ) from None


def _default_path():
    """Beside the application, or in the user's state directory where that folder cannot be written."""
    folder = os.path.dirname(os.path.abspath(__file__))
    if not os.access(folder, os.W_OK):
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        folder = os.path.join(state, "guestbook")
        os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, "guestbook.sqlite3")


def open_store(environ=os.environ):
    """The store that the environment asks for. Connects to nothing yet."""
    url = environ.get("DATABASE_URL", "")
    if not url:
        return SqliteStore(environ.get("GUESTBOOK_DB") or _default_path())
    scheme = urlsplit(url).scheme
    if scheme not in ("postgres", "postgresql"):
        raise RuntimeError(
            "DATABASE_URL begins with `%s:`, but the guestbook knows postgresql:// only: "
            "correct it, or unset it to keep the entries in SQLite." % scheme
        )
    return PostgresStore(url)
