// `npm start`: builds when a source is newer than dist/, then runs the node in this very process,
// so that a signal or a kill reaches the database and not a wrapper. Arguments go through:
// `npm start -- --port 7000`. CommonJS for the reason given in cli.cts.

const { build, isStale } = require("./build.cjs");

if (isStale()) build();
process.argv.splice(2, 0, "start");
module.exports = require("../dist/deploy/cli.cjs");
