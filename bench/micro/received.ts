// What a request costs that a web server in front describes, from its variables in text to those written out to a worker's
// wire: of nginx and Apache, as captured from them (test/protocol/cgi/received/).
import { receivedRequest } from "../../src/protocol/cgi/received-variables.js";
import { captured } from "../../test/protocol/cgi/received.js";
import { measure } from "./support/measure.js";

const facts = { software: "vivarium/0.0.0", believe: () => undefined };
const wire = Buffer.allocUnsafe(65536);

for (const { name, sent } of captured()) {
  if (!/^(nginx-(fastcgi|uwsgi|scgi)_params|apache-(fcgi|uwsgi))$/.test(name)) continue;
  const octets = Buffer.from(sent.join("\0"), "latin1");
  const pairs = (): string[] => octets.toString("latin1").split("\0");
  measure(`received, ${name}: the variables' text`, pairs);
  measure(`received, ${name}: whole`, () => {
    const request = receivedRequest(pairs(), facts);
    wire.write(request.encode({ scriptName: "", pathInfo: request.path }, 5), "latin1");
  });
}
