"""A small Flask application of the kind people have: login, notes in SQLite, a JSON API, uploads, downloads, a stream.

The environment says where things are, the same for every worker process:
    FLASK_SITE_FOLDER   for the database, uploaded files, and the gates of the stream
    FLASK_SITE_SECRET   signs the session cookie
"""

import hashlib
import os
import sqlite3
import time

from flask import (
    Flask,
    abort,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)
from werkzeug.utils import secure_filename

FOLDER = os.environ["FLASK_SITE_FOLDER"]

app = Flask(__name__)
app.secret_key = os.environ["FLASK_SITE_SECRET"]
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"

USERS = {"ada": "analytical"}


def database():
    if "database" not in g:
        g.database = sqlite3.connect(os.path.join(FOLDER, "notes.sqlite3"), timeout=20, isolation_level=None)
        g.database.row_factory = sqlite3.Row
        g.database.execute(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL)"
        )
    return g.database


@app.teardown_appcontext
def close_database(_error):
    if "database" in g:
        g.pop("database").close()


def add_note(author, text):
    return database().execute("INSERT INTO notes (author, text) VALUES (?, ?)", (author, text)).lastrowid


def notes():
    return [dict(row) for row in database().execute("SELECT id, author, text FROM notes ORDER BY id")]


@app.get("/")
def home():
    session["visits"] = session.get("visits", 0) + 1
    return render_template("home.html", notes=notes(), user=session.get("user"), visits=session["visits"])


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        name = request.form.get("name", "")
        if USERS.get(name) == request.form.get("password"):
            session["user"] = name
            flash("Welcome, %s." % name)
            return redirect(url_for("home"))
        flash("That name and password do not match.")
    return render_template("login.html"), 401 if request.method == "POST" else 200


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("home"))


@app.post("/notes")
def post_note():
    if "user" not in session:
        abort(403)
    add_note(session["user"], request.form["text"])
    flash("Noted.")
    return redirect(url_for("home"), 303)


@app.get("/old-address")
def old_address():
    return redirect(url_for("home", _external=True), 301)


@app.route("/api/notes", methods=["GET", "POST"])
def api_notes():
    if request.method == "GET":
        return jsonify(notes=notes())
    data = request.get_json()
    if not isinstance(data.get("text"), str):
        return jsonify(error="text is missing"), 400
    return jsonify(id=add_note("api", data["text"])), 201


@app.post("/upload")
def upload():
    file = request.files["file"]
    name = secure_filename(file.filename)
    path = os.path.join(FOLDER, "file-" + name)
    file.save(path)
    sha256 = hashlib.sha256()
    with open(path, "rb") as saved:
        for block in iter(lambda: saved.read(65536), b""):
            sha256.update(block)
    return jsonify(name=name, size=os.path.getsize(path), sha256=sha256.hexdigest(), comment=request.form.get("comment"))


@app.get("/files/<name>")
def download(name):
    # Conditional: ETag, Last-Modified, ranges; the body goes out through wsgi.file_wrapper.
    path = os.path.join(FOLDER, "file-" + secure_filename(name))
    return send_file(path, as_attachment=True, download_name=name, conditional=True) if os.path.exists(path) else abort(404)


@app.get("/stream/<key>")
def stream(key):
    """Lines 0 to 4, each only after the client has had the one before: it opens the gate to the next."""

    def lines():
        for number in range(5):
            deadline = time.monotonic() + 20
            while number and not os.path.exists(os.path.join(FOLDER, "gate-%s-%d" % (secure_filename(key), number))):
                if time.monotonic() > deadline:
                    raise TimeoutError("nobody opened the gate")
                time.sleep(0.005)
            yield "%s %d\n" % (request.args["word"], number)

    return app.response_class(stream_with_context(lines()), mimetype="text/plain")


@app.get("/who")
def who():
    time.sleep(0.02)
    return jsonify(pid=os.getpid())


@app.route("/broken")
def broken():
    raise RuntimeError("broken on purpose")


@app.get("/broken-stream")
def broken_stream():
    def blocks():
        yield "the beginning"
        raise RuntimeError("broken in the midst")

    return app.response_class(blocks(), mimetype="text/plain")


@app.errorhandler(404)
def not_found(_error):
    return render_template("error.html", heading="Not found"), 404


@app.errorhandler(500)
def failed(_error):
    return render_template("error.html", heading="Something broke"), 500
