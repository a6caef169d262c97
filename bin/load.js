// Loads a bundle together with the code that V8 made of it when it was built (build/bundle/NAME.cache): to parse and compile
// the two programs anew at each start takes 10 to 15 ms each. V8 refuses what another version of it made, and compiles then.
const { readFileSync } = require("node:fs");
const { createRequire, wrap } = require("node:module");
const { dirname, join } = require("node:path");
const { Script } = require("node:vm");

function codeOf(path) {
  try {
    return readFileSync(`${path}.cache`);
  } catch {
    return undefined;
  }
}

/** Runs build/bundle/NAME.js as `require` would; gives its exports, and the script for who makes the cache. */
function run(name) {
  const filename = join(__dirname, "..", "build", "bundle", `${name}.js`);
  const script = new Script(wrap(readFileSync(filename, "utf8")), { filename, cachedData: codeOf(filename) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));
  return { exports: module.exports, script, filename };
}

exports.run = run;
exports.load = (name) => run(name).exports;
