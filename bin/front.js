// The program of a front: who starts it is the supervisor (src/supervisor/front-process.ts).
require("./load.js").load("front");
