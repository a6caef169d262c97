import hashlib
import os
import tempfile
import time

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from .forms import NoteForm, UploadForm
from .models import Note


@require_GET
def home(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"notes": Note.objects.all(), "form": NoteForm(), "visits": request.session["visits"]}
    return render(request, "notes/home.html", context)


@require_POST
def add(request):
    form = NoteForm(request.POST)
    if not form.is_valid():
        context = {"notes": Note.objects.all(), "form": form, "visits": request.session.get("visits", 0)}
        return render(request, "notes/home.html", context, status=422)
    note = form.save()
    messages.success(request, "Noted: %s" % note.title)
    return redirect("home")


@require_POST
def upload(request):
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    file = form.cleaned_data["file"]
    sha256 = hashlib.sha256()
    for block in file.chunks():
        sha256.update(block)
    return JsonResponse(
        {"name": file.name, "size": file.size, "sha256": sha256.hexdigest(), "kept": type(file).__name__}
    )


@require_GET
def stream(request, key):
    """Lines 0 to 4, each only after the client has had the one before: it opens the gate to the next."""

    def lines():
        for number in range(5):
            deadline = time.monotonic() + 20
            while number and not os.path.exists(os.path.join(settings.FOLDER, "gate-%s-%d" % (key, number))):
                if time.monotonic() > deadline:
                    raise TimeoutError("nobody opened the gate")
                time.sleep(0.005)
            yield "line %d\n" % number

    return StreamingHttpResponse(lines(), content_type="text/plain")


@require_GET
def export(request):
    """All notes as a file; FileResponse hands it to wsgi.file_wrapper."""
    file = tempfile.TemporaryFile(dir=settings.FOLDER)
    for note in Note.objects.iterator():
        file.write(("%d\t%s\t%s\n" % (note.pk, note.title, note.text)).encode())
    file.write(b"#" * 300_000)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename="notes.txt")


@require_GET
def who(request):
    time.sleep(0.02)
    return JsonResponse({"pid": os.getpid()})


@require_GET
def broken(request):
    raise RuntimeError("broken on purpose")
