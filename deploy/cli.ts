// `npx tsx deploy/cli.ts`: the same command line without a build, for development. Users run the
// launcher `cli.cts`, which is built to dist/deploy/cli.js. This file adds nothing to main.ts.

await import("./main.ts");
