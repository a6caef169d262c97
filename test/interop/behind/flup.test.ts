// flup behind the gateway: FastCGI and SCGI, with threads and with processes.
import { flupPython, unavailable } from "../../support/tools.js";
import type { Exceptions } from "../suite/suite.js";
import { behindTheGateway } from "./application.js";

const cutUnseen = "flup ends a response that its application could not finish as if it were whole";
const connectionEnds = "without a length, a response over SCGI ends with the connection";
const scgi = {
  "body read by lines, and nothing behind its end":
    "flup's wsgi.input is the connection, which has no end behind the body",
  "a response cut, its length unsaid, is seen to be cut": connectionEnds,
};
const fastcgi = { "a response cut, its length unsaid, is seen to be cut": cutUnseen };

function flup(
  protocol: "fastcgi" | "scgi",
  method: "threaded" | "preforked",
  args: readonly string[],
  except: Exceptions,
): void {
  behindTheGateway({
    name: `flup, ${method},`,
    skip: unavailable("venv-flup"),
    configuration: "flup",
    start: (site) =>
      site.serve(flupPython(), ["serve.py", protocol, method, `${site.folder}/flup.sock`], {}, ["flup.sock"]),
    doors: [
      {
        name: `over ${protocol}`,
        url: ({ folder }) => `${protocol}://unix:${folder}/flup.sock`,
        // What waits behind a body's end waits for ever: this ends it.
        args: () => ["--upstream-first-byte-timeout", "5", ...args],
        except,
      },
    ],
  });
}

flup("fastcgi", "threaded", [], fastcgi);
flup("fastcgi", "preforked", [], fastcgi);
flup("scgi", "threaded", [], scgi);
flup("scgi", "preforked", [], scgi);
