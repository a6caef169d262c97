// Apache with mod_wsgi behind the gateway, over HTTP.
import { apache2, unavailable } from "../../support/tools.js";
import { behindTheGateway } from "./application.js";

const mergedSlashes = "mod_wsgi merges slashes, also with Apache's MergeSlashes off";

behindTheGateway({
  name: "Apache with mod_wsgi",
  skip: unavailable("apache2", "mod-wsgi"),
  configuration: "mod_wsgi",
  // It signals its whole process group when it ends.
  start: (site) => site.serve(apache2(), ["-f", `${site.folder}/apache2.conf`, "-DFOREGROUND"], { detached: true }),
  doors: [
    {
      name: "over http",
      url: (site) => `http://127.0.0.1:${site.port(8080)}`,
      except: {
        "path with two slashes inside": mergedSlashes,
        "path with two slashes at its end": mergedSlashes,
        "path with two slashes at its beginning": mergedSlashes,
        "a response cut, its length unsaid, is seen to be cut":
          "mod_wsgi ends its chunks as if the response were whole",
      },
    },
  ],
});
