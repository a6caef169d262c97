"""An application that holds 200 MB of Python objects once it is imported, as large ones do: most of them never looked at again,
a twentieth by its requests."""

import itertools
import resource

SIZE = 200 * 1000 * 1000
BATCH = 2000
# A share of all records, and how many of those a request reads.
HOT = 20
READ = 100


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def record(number):
    name = "record %d" % number
    return {"id": number, "name": name, "tags": [name[-2:], name[-1:]], "place": (number * 0.5, number * 0.25)}


def load():
    records = []
    before = resident()
    while resident() - before < SIZE:
        records.extend(record(number) for number in range(len(records), len(records) + BATCH))
    return records


RECORDS = load()
turn = itertools.count()


def app(environ, start_response):
    hot = len(RECORDS) // HOT
    first = next(turn) * READ
    seen = sum(1 for number in range(first, first + READ) if RECORDS[number % hot]["tags"])
    body = b"%d of %d\n" % (seen, len(RECORDS))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = app
