// node code-cache.cjs NAME: keeps what V8 makes of a bundle beside it. See bin/load.js.
const { writeFileSync } = require("node:fs");
const { run } = require("../../bin/load.js");

const { script, filename } = run(process.argv[2]);
// After it ran: then the code of the functions that every start calls is there too.
writeFileSync(`${filename}.cache`, script.createCachedData());
process.exit(0);
