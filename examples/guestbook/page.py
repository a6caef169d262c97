"""The guestbook's pages as HTML. Everything that a visitor wrote goes through escape()."""

import time
import zlib
from html import escape

NAME_LIMIT = 60
MESSAGE_LIMIT = 1000

#: Tints of the portraits, as many as style.css has.
TINTS = 8

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="A guestbook served by Vivarium.">
<title>{title}</title>
<link rel="icon" href="{root}/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}/style.css?{version}">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
{body}
</body>
</html>
"""

_HOME = """<header class="masthead">
<div class="wrap">
<p class="eyebrow">Served by Vivarium</p>
<h1>The guestbook</h1>
<p class="lead">You have come by; leave a word. Each page is read from the database by whichever
worker process was free.</p>
</div>
</header>
<main id="main" class="wrap columns">
<section class="sign" aria-labelledby="sign-heading">
<h2 id="sign-heading">Sign the book</h2>
{alert}<form method="post" action="{root}/sign">
<input type="hidden" name="token" value="{token}">
<div class="field">
<label for="name">Your name</label>
<input id="name" name="name" type="text" autocomplete="name" required maxlength="{name_limit}" value="{name}"{name_invalid}>
{name_problem}</div>
<div class="field">
<label for="message">Your message</label>
<textarea id="message" name="message" rows="5" required maxlength="{message_limit}"{message_invalid}>
{message}</textarea>
{message_problem}</div>
<button type="submit">Sign</button>
</form>
</section>
<section class="entries" aria-labelledby="entries-heading">
<h2 id="entries-heading">{heading}</h2>
{entries}
{pager}</section>
</main>
<footer class="wrap colophon">
<p>{count} · <span>answered by process <b>{process}</b></span> ·
<span>{database} took <b>{milliseconds}</b></span></p>
</footer>"""

_ENTRY = """<li id="entry-{id}" class="entry">
<span class="portrait tint-{tint}" aria-hidden="true">{initial}</span>
<article aria-labelledby="entry-{id}-name">
<header><h3 id="entry-{id}-name">{name}</h3>
<time datetime="{datetime}" title="{title}">{when}</time></header>
<p>{message}</p>
</article>
</li>"""

_EMPTY = """<div class="empty">
<p class="empty-title">The first page is still white.</p>
<p>Whoever signs now will always have been the first.</p>
</div>"""

_NOTICE = """<main id="main" class="wrap notice">
<p class="eyebrow">{status}</p>
<h1>{heading}</h1>
<p class="lead">{sentence}</p>
<p><a class="button" href="{root}/">To the guestbook</a></p>
</main>"""

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="8" fill="#1f6f5c"/>'
    '<path d="M7 9c4-1.6 7-.8 9 1.2 2-2 5-2.8 9-1.2v14c-4-1.6-7-.8-9 1.2-2-2-5-2.8-9-1.2z" fill="#fbf8f1"/>'
    '<path d="M16 10.2v14" stroke="#1f6f5c" stroke-width="1.4"/></svg>'
)


def _plural(number, noun):
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


def entries_counted(count):
    if count == 0:
        return "No entries yet"
    return "1 entry" if count == 1 else "{:,} entries".format(count)


def relative_time(then, now):
    """How long ago `then` was, as one says it."""
    seconds = max(0, int(now - then))
    if seconds < 45:
        return "just now"
    minutes = (seconds + 30) // 60
    if minutes < 60:
        return _plural(minutes, "minute") + " ago"
    hours = (minutes + 30) // 60
    if hours < 24:
        return _plural(hours, "hour") + " ago"
    days = (hours + 12) // 24
    if days == 1:
        return "yesterday"
    if days < 30:
        return _plural(days, "day") + " ago"
    date = time.gmtime(then)
    return "%d %s" % (date.tm_mday, time.strftime("%B %Y", date))


def _initial(name):
    for character in name:
        if character.isalnum():
            return character.upper()
    return "~"


def _entry(entry, now):
    date = time.gmtime(entry.created)
    return _ENTRY.format(
        id=entry.id,
        tint=zlib.crc32(entry.name.encode("utf-8")) % TINTS,
        initial=escape(_initial(entry.name)),
        name=escape(entry.name),
        datetime=time.strftime("%Y-%m-%dT%H:%M:%SZ", date),
        title=time.strftime("%A, %d %B %Y, %H:%M UTC", date),
        when=relative_time(entry.created, now),
        message=escape(entry.message),
    )


def _problem(name, problems):
    """The attributes of an input and the line below it, when it was not accepted."""
    if name not in problems:
        return "", ""
    # The first input that was refused takes the focus, so that a screen reader begins there.
    focus = " autofocus" if next(iter(problems)) == name else ""
    return (
        ' aria-invalid="true" aria-describedby="%s-problem"%s' % (name, focus),
        '<p class="problem" id="%s-problem">%s</p>\n' % (name, escape(problems[name])),
    )


def _milliseconds(seconds):
    return "%.1f ms" % (seconds * 1000) if seconds < 0.1 else "%d ms" % (seconds * 1000)


def document(root, version, title, body):
    return _DOCUMENT.format(root=escape(root), version=version, title=escape(title), body=body)


def home(root, listing, form, process, database, seconds):
    """The body of the first page.

    listing: the entries to show, how many there are in all, and whether this is an older page and has one older yet.
    form: token, name, message as typed, and problems: what is wrong with which.
    """
    now = time.time()
    entries = listing["entries"]
    name_invalid, name_problem = _problem("name", form["problems"])
    message_invalid, message_problem = _problem("message", form["problems"])
    links = []
    if listing["paged"]:
        links.append('<a class="button" href="%s/">Newest</a>' % escape(root))
    if listing["older"]:
        links.append('<a class="button" rel="next" href="%s/?before=%d">Older</a>' % (escape(root), entries[-1].id))
    return _HOME.format(
        root=escape(root),
        alert='<p class="alert" role="alert">That was not quite enough to write down.</p>\n' if form["problems"] else "",
        token=escape(form["token"]),
        name=escape(form["name"]),
        name_limit=NAME_LIMIT,
        name_invalid=name_invalid,
        name_problem=name_problem,
        message=escape(form["message"]),
        message_limit=MESSAGE_LIMIT,
        message_invalid=message_invalid,
        message_problem=message_problem,
        heading="Earlier entries" if listing["paged"] else "Latest entries",
        entries='<ol class="list">\n%s\n</ol>' % "\n".join(_entry(entry, now) for entry in entries) if entries else _EMPTY,
        pager='<nav class="pager" aria-label="Pages">%s</nav>\n' % "".join(links) if links else "",
        count=entries_counted(listing["count"]),
        process=process,
        database=escape(database),
        milliseconds=_milliseconds(seconds),
    )


def notice(root, status, heading, sentence):
    return _NOTICE.format(root=escape(root), status=escape(status), heading=escape(heading), sentence=escape(sentence))
