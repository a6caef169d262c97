// What a request costs that a web server in front describes, from its variables in text to those written out to a worker's
// wire: of nginx and Apache, as captured from them (test/protocol/cgi/received/). Prints the best of several rounds.
import { receivedRequest } from "../../src/protocol/cgi/received-variables.js";
import { captured } from "../../test/protocol/cgi/received.js";

const facts = { software: "vivarium/0.0.0", believe: () => undefined };
const wire = Buffer.allocUnsafe(65536);

for (const { name, sent } of captured()) {
  if (!/^(nginx-(fastcgi|uwsgi|scgi)_params|apache-(fcgi|uwsgi))$/.test(name)) continue;
  const octets = Buffer.from(sent.join("\0"), "latin1");
  const pairs = (): string[] => octets.toString("latin1").split("\0");
  const best = (act: () => void): number => {
    let least = Number.POSITIVE_INFINITY;
    const count = 5000;
    for (let round = 0; round < 12; round++) {
      const before = process.hrtime.bigint();
      for (let i = 0; i < count; i++) act();
      least = Math.min(least, Number(process.hrtime.bigint() - before) / count / 1000);
    }
    return least;
  };
  const text = best(pairs);
  const whole = best(() => {
    const request = receivedRequest(pairs(), facts);
    wire.write(request.encode({ scriptName: "", pathInfo: request.path }, 5), "latin1");
  });
  console.log(`${name.padEnd(24)} ${whole.toFixed(2)} µs/request, of it ${text.toFixed(2)} for the variables' text`);
}
