"""Where a task is: the stack of what it awaits, as a traceback has it, the innermost line last."""

import asyncio
import os
import traceback

FRAMES_MOST = 100  # the innermost
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _step(awaited):
    """A frame, and what it awaits: of a coroutine, a generator or an asynchronous generator; (None, None) of anything else."""
    for prefix, next in (("cr", "await"), ("gi", "yieldfrom"), ("ag", "await")):
        frame = getattr(awaited, prefix + "_frame", None)
        if frame is not None:
            return frame, getattr(awaited, "%s_%s" % (prefix, next), None)
    return None, None


def stack_of(task):
    """"" where it is in no line of the application."""
    frames = []
    seen = set()
    awaited = task
    while awaited is not None and id(awaited) not in seen and len(frames) < 10 * FRAMES_MOST:
        seen.add(id(awaited))
        if isinstance(awaited, asyncio.Task):
            awaited = awaited.get_coro()
            continue
        frame, further = _step(awaited)
        if frame is not None and not frame.f_code.co_filename.startswith(HERE):
            frames.append((frame, frame.f_lineno))
        # Of asyncio.gather the first task stands for all.
        awaited = further if frame is not None else next(iter(getattr(awaited, "_children", ())), None)
    return "".join(traceback.StackSummary.extract(iter(frames[-FRAMES_MOST:])).format())
