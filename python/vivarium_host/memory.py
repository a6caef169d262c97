"""How much memory a worker has to itself, looked at after each request where there is a limit (--max-worker-memory).

It is what is resident and no file: what the process has allocated, and what it was forked with. Pages of libraries and
mapped files are not counted; the system has them once, and takes them back by itself. Nor is the proportional share (PSS), which
is dear to find out and falls when another process is forked.
"""

import os

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Memory:
    __slots__ = ("_limit", "_descriptor", "_told")

    def __init__(self, limit):
        self._limit = limit // PAGE_KIB  # given in KiB, kept in pages
        self._descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._told = False

    def beyond(self):
        """KiB of memory where that is more than the limit, the first time; else 0."""
        if self._told:
            return 0
        _, resident, shared, _ = os.pread(self._descriptor, 96, 0).split(None, 3)
        pages = int(resident) - int(shared)
        if pages <= self._limit:
            return 0
        self._told = True
        return pages * PAGE_KIB
