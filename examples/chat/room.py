"""What was said, in SQLite, and who waits for more: all worker processes see the same.

Each worker looks whether the database has changed (``PRAGMA data_version``, which reads a few octets of shared memory) and
wakes whoever it has listening. What it reads takes some microseconds, so that it is read on the event loop; to write may mean to wait for
another process, so that it happens on a thread.
"""

import asyncio
import sqlite3
import time

LOOK = 0.05  # seconds between two looks
WAIT = 20  # seconds for which another process may write


class Room:
    def __init__(self, path):
        self._path = path
        self._reading = self._connect()
        self._reading.execute(
            "CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY, at REAL NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL)"
        )
        self._loop = asyncio.get_running_loop()
        #: Done when somebody has said something; then there is another.
        self.news = self._loop.create_future()
        self._looking = self._loop.create_task(self._look())

    def _connect(self):
        connection = sqlite3.connect(self._path, timeout=WAIT, isolation_level=None)
        until = time.monotonic() + WAIT
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return connection
            except sqlite3.OperationalError:
                # Another worker does the same to a new database at this moment: for that alone SQLite does not wait.
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    async def close(self):
        self._looking.cancel()
        await asyncio.wait({self._looking})
        self._reading.close()

    def _version(self):
        return self._reading.execute("PRAGMA data_version").fetchone()[0]

    async def _look(self):
        seen = self._version()
        while True:
            await asyncio.sleep(LOOK)
            version = self._version()
            if version != seen:
                seen = version
                news, self.news = self.news, self._loop.create_future()
                news.set_result(None)

    def after(self, id):
        """What was said after this, oldest first: rows of id, seconds since the epoch, name and text."""
        return self._reading.execute("SELECT id, at, name, text FROM said WHERE id > ? ORDER BY id", (id,)).fetchall()

    def before_last(self, count):
        """The id before the last so many."""
        newest = self._reading.execute("SELECT max(id) FROM said").fetchone()[0] or 0
        return max(0, newest - count)

    async def say(self, name, text):
        await self._loop.run_in_executor(None, self._write, name, text)

    def _write(self, name, text):
        # A connection of its own: the version changes for what other connections write.
        connection = self._connect()
        try:
            connection.execute("INSERT INTO said (at, name, text) VALUES (?, ?, ?)", (time.time(), name, text))
        finally:
            connection.close()
