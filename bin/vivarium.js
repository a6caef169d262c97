#!/usr/bin/env node
const { main } = require("../build/bundle/vivarium.js");

main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
