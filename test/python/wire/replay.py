"""Holds vivarium_host/wire.py to the vectors: ``python replay.py FOLDER-OF-VIVARIUM_HOST < vectors in JSON``.

Prints a line for each vector that was replayed, "NAME: ok" or "NAME: what differed".
"""

import json
import sys
import tempfile

sys.path.insert(0, sys.argv[1])

from vivarium_host import shared, wire  # noqa: E402  (the path comes first)


def text(value):
    return value if isinstance(value, str) else value["of"] * value["times"]


def joined(variables):
    return "\0".join("%s\0%s" % (name, text(value)) for name, value in variables.items()).encode("latin-1")


def as_told(frame):
    """A frame as wire.FrameReader must give it."""
    kind = frame["frame"]
    if kind == "CANCEL":
        return (wire.CANCEL, frame["id"])
    if kind == "INPUT-ENDED":
        return (wire.INPUT_ENDED, frame["id"], 0)
    if kind == "END":
        return (wire.END, 0, 0)
    if kind == "SHARED":
        return (wire.SHARED_IN, 0, frame["path"].encode("latin-1"))
    if kind == "LIMIT":
        return (wire.LIMIT, frame["id"], frame["milliseconds"])
    if kind == "CREDIT":
        return (wire.CREDIT, frame["id"], frame["octets"])
    if kind == "BODY":
        return (wire.BODY, frame["id"], text(frame["body"]).encode("latin-1"), frame["last"])
    if kind == "MESSAGE":
        return (wire.MESSAGE_IN, frame["id"], text(frame["body"]).encode("latin-1"), frame["text"])
    if kind == "CLOSE":
        return (wire.CLOSE_IN, frame["id"], frame["code"], frame["because"].encode("utf-8"))
    flags = (wire.FLAG_HAND_OVER if frame["handOver"] else 0) | (wire.FLAG_BODY_IN_FILE if frame["inFile"] else 0)
    if frame.get("webSocket"):
        flags |= wire.FLAG_WEBSOCKET
    if frame.get("follows"):
        flags |= wire.FLAG_BODY_FOLLOWS
    names = {"takesHints": wire.FLAG_TAKES_HINTS, "takesTrailers": wire.FLAG_TAKES_TRAILERS}
    flags |= sum(names[name] for name in frame.get("takes", []))
    shared = joined(frame.get("shared", {}))
    body = text(frame["body"]).encode("latin-1")
    if "number" in frame:
        return (wire.REQUEST, frame["id"], flags | wire.FLAG_NUMBERED, (shared, joined(frame["variables"])), None, body)
    return (wire.REQUEST, frame["id"], flags, shared, joined(frame["variables"]), body)


def told(frame):
    """As as_told has it."""
    if frame[0] == wire.CANCEL:
        return frame[:2]
    if frame[0] == wire.REQUEST and frame[2] & wire.FLAG_NUMBERED:
        kept = frame[3]
        return (*frame[:3], (kept.shared, kept.own), *frame[4:])
    return frame


def bodies_of(frames):
    """The worker's end of memory in which those bodies stand that frames say are there."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(shared.END)
        for frame in frames:
            if "at" in frame:
                file.seek(frame["at"])
                file.write(text(frame["body"]).encode("latin-1"))
        file.flush()
        return shared.SharedBodies(file.name)


def read(pieces, bodies):
    reader = wire.FrameReader()
    reader.bodies = bodies
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    return [told(frame) for frame in frames]


def check_reading(octets, frames, cuts):
    want = [as_told(frame) for frame in frames]
    bodies = bodies_of(frames)
    if read([octets], bodies) != want:
        return "whole, it is read as %r" % (read([octets], bodies),)
    for at in cuts:
        if read([piece for piece in (octets[:at], octets[at:]) if piece], bodies) != want:
            return "cut at %d, it is read as something else" % at
    if read([octets[at : at + 1] for at in range(len(octets))], bodies) != want:
        return "octet by octet, it is read as something else"
    if read([octets * 3], bodies) != want * 3:
        return "thrice, it is read as something else"
    return "ok"


def written(frame, bodies):
    """The octets wire.frame makes of a frame."""
    kind = frame["frame"]
    if kind == "HELLO":
        told = {"worker": frame["worker"], "pid": frame["pid"], "threads": frame["threads"]}
        return wire.frame(wire.HELLO, 0, payload=json.dumps(told).encode())
    if kind == "RETURNED" or kind == "DROPPED":
        return wire.frame(getattr(wire, kind), frame["id"])
    if kind == "SHARED":
        return wire.frame(wire.SHARED, 0, wire.FLAG_HAS if frame["has"] else 0)
    if kind == "RETIRE":
        return wire.frame(wire.RETIRE, 0, wall=frame["kib"])
    if kind == "LATE":
        flags = sum(getattr(wire, "FLAG_" + flag.upper()) for flag in frame["flags"])
        return wire.frame(wire.LATE, frame["id"], flags, payload=frame["stack"].encode("utf-8"))
    if kind == "BODY_CREDIT":
        return wire.frame(wire.BODY_CREDIT, frame["id"], wall=frame["octets"])
    if kind == "INFORM":
        return wire.frame(wire.INFORM, frame["id"], status=frame["status"], payload=frame["fields"].encode("latin-1"))
    if kind == "MESSAGE":
        flags = wire.FLAG_TEXT if frame["text"] else 0
        return wire.frame(wire.MESSAGE, frame["id"], flags, payload=text(frame["body"]).encode("latin-1"))
    times = {"wall": frame["wall"], "cpu": frame["cpu"]}
    if kind == "TRAILERS":
        return wire.frame(wire.TRAILERS, frame["id"], payload=frame["fields"].encode("latin-1"), **times)
    if kind == "CLOSE":
        flags = wire.FLAG_LAST if frame["last"] else 0
        return wire.frame(wire.CLOSE, frame["id"], flags, frame["code"], payload=frame["because"].encode("utf-8"), **times)
    if kind == "FAIL":
        return wire.frame(wire.FAIL, frame["id"], **times)
    flags = wire.FLAG_LAST if frame.get("last") else 0
    body = text(frame["body"]).encode("latin-1") if "body" in frame else frame["path"].encode("utf-8")
    type = getattr(wire, kind)
    if "at" in frame:
        type, body = bodies.place(type, body)
    if kind == "DATA":
        return wire.frame(type, frame["id"], flags, payload=body, **times)
    flags |= (wire.FLAG_HAS_LENGTH if frame["hasLength"] else 0) | (wire.FLAG_HAS_DATE if frame["hasDate"] else 0)
    flags |= wire.FLAG_CLOSES if frame.get("closes") else 0
    head = ("%s\r\n%s" % (frame["reason"], frame["fields"])).encode("latin-1")
    return wire.frame(type, frame["id"], flags, frame["status"], len(head), payload=head + body, **times)


def check_writing(octets, frames):
    bodies = bodies_of(())
    made = b"".join(written(frame, bodies) for frame in frames)
    return "ok" if made == octets else "it is written as %r" % (made[:400],)


def main():
    vectors = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    for vector in vectors["requests"]:
        print("%s: %s" % (vector["name"], check_reading(bytes.fromhex(vector["octets"]), vector["frames"], vector["cuts"])))
    for vector in vectors["responses"]:
        print("%s: %s" % (vector["name"], check_writing(bytes.fromhex(vector["octets"]), vector["frames"])))
    longest = wire.frame(wire.FAIL, 1, wall=2**40, cpu=2**40)
    print("times too long to be told: %s" % ("ok" if longest[16:] == b"\xff" * 8 else "not cut: %r" % longest))


main()
