import asyncio
import hashlib
import json
import os

from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import alogin
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


def in_folder(name):
    return os.path.join(settings.FOLDER, name)


def notice(name, text):
    """Leaves a word for the test, whole or not at all."""
    with open(in_folder(name + ".new"), "w") as file:
        file.write(text)
    os.rename(in_folder(name + ".new"), in_folder(name))


async def home(request):
    visits = await request.session.aget("visits", 0) + 1
    await request.session.aset("visits", visits)
    user = await request.auser()
    name = user.username if user.is_authenticated else "nobody"
    return HttpResponse("Visit %d of %s" % (visits, name))


@csrf_exempt
@require_POST
async def log_in(request):
    user, _ = await User.objects.aget_or_create(username=request.POST["name"])
    await alogin(request, user)
    sessions = await Session.objects.acount()
    return JsonResponse({"name": user.username, "sessions": sessions})


@csrf_exempt
@require_POST
def upload(request):
    """Not asynchronous: Django runs it on a thread."""
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for block in file.chunks():
        digest.update(block)
    return JsonResponse({"size": file.size, "sha256": digest.hexdigest(), "comment": request.POST.get("comment")})


async def stream(request, key):
    """Lines 0 to 4, each only after the client has had the one before: it opens the gate to the next."""

    async def lines():
        for number in range(5):
            for _ in range(4000):
                if number == 0 or os.path.exists(in_folder("gate-%s-%d" % (key, number))):
                    break
                await asyncio.sleep(0.005)
            else:
                raise TimeoutError("nobody opened the gate")
            yield "%s %d\n" % (request.GET["word"], number)

    return StreamingHttpResponse(lines(), content_type="text/plain")


async def patient(request, key):
    """Django cancels a view whose client has left."""
    notice("waiting-" + key, "")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        notice("left-" + key, "cancelled")
        raise
    return HttpResponse("nobody left")


@csrf_exempt
@require_POST
async def say(request, room):
    await get_channel_layer().group_send("room-" + room, {"type": "room.said", "text": request.POST["text"]})
    return HttpResponse(status=204)


async def events(request, room):
    """What is said in a room, as server-sent events."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("room-" + room, channel)

    async def hear():
        try:
            yield "data: %s\n\n" % json.dumps({"pid": os.getpid()})
            while True:
                event = await layer.receive(channel)
                yield "data: %s\n\n" % json.dumps({"said": event["text"]})
        finally:
            await layer.group_discard("room-" + room, channel)

    return StreamingHttpResponse(hear(), content_type="text/event-stream")


async def who(request):
    await asyncio.sleep(0.02)
    return JsonResponse({"pid": os.getpid()})


async def broken(request):
    raise RuntimeError("broken on purpose")


def export(request):
    """An ordinary generator, which Django reads on threads."""
    return StreamingHttpResponse(("%d;%s\n" % (number, "x" * 90) for number in range(10000)), content_type="text/csv")
