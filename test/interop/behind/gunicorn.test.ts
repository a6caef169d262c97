// gunicorn behind the gateway, over HTTP.
import { benchPython, unavailable } from "../../support/tools.js";
import { behindTheGateway } from "./application.js";

behindTheGateway({
  name: "gunicorn",
  skip: unavailable("venv-bench"),
  configuration: "gunicorn",
  start: (site) => site.serve(benchPython(), ["-m", "gunicorn", "--config", "gunicorn.conf.py"], {}, ["gunicorn.sock"]),
  doors: [
    {
      name: "over http",
      url: ({ folder }) => `http://unix:${folder}/gunicorn.sock`,
      except: {
        "environ has the client's address":
          "gunicorn gives the peer's, which a unix socket has not, and X-Forwarded-For to the application as it is",
      },
    },
  ],
});
