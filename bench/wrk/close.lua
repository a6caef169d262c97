-- A connection per request.
wrk.headers["Connection"] = "close"
