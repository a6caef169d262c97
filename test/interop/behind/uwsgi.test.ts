// uWSGI behind the gateway, in each protocol it speaks.
import { unavailable, uwsgi } from "../../support/tools.js";
import type { Exceptions } from "../suite/suite.js";
import { behindTheGateway, type Door } from "./application.js";

const everywhere = {
  "an application that fails at once is a 500": "uWSGI closes the connection without a response: 502",
  "an application that fails after start_response is a 500": "uWSGI has sent the head by then: 200, with no body",
  "a response cut, its length unsaid, is seen to be cut": "without a length, uWSGI's responses end with the connection",
};
const itsOwnPeer = "uWSGI tells of its own connection's ends, whatever X-Forwarded-For says";

function over(protocol: string, except: Exceptions = {}): Door {
  return {
    name: `over ${protocol}`,
    url: ({ folder }) => `${protocol}://unix:${folder}/${protocol}.sock`,
    except: { ...everywhere, ...except },
  };
}

behindTheGateway({
  name: "uWSGI",
  skip: unavailable("uwsgi", "uwsgi-python"),
  configuration: "uwsgi",
  start: (site) =>
    site.serve(uwsgi(), ["--ini", "uwsgi.ini"], {}, ["uwsgi.sock", "fastcgi.sock", "scgi.sock", "http.sock"]),
  doors: [
    over("uwsgi"),
    over("fastcgi"),
    over("scgi"),
    over("http", {
      "environ has the client's address": itsOwnPeer,
      "environ has the port the client connected to": itsOwnPeer,
    }),
  ],
});
