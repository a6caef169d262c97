#!/usr/bin/env node
const { main } = require("./load.js").load("vivarium");

main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
