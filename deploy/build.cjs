// Builds dist/ (`npm run build`): compiles, then puts the launcher at dist/deploy/cli.js. Used by
// `npm start` and by the tests too, which only rebuild when a source is newer than the last build.
// CommonJS, because npm-start.cjs shares its process with the node (see cli.cts).

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.dirname(__dirname);
const stamp = path.join(root, "dist", ".built");
const rooms = ["actors", "transport", "storage", "resp", "deploy"];

/** Newest modification time in ms of all sources and of what decides how they are compiled. */
function newestSource() {
  const files = ["package.json", "package-lock.json", "tsconfig.json"];
  for (const room of rooms) {
    if (!fs.existsSync(path.join(root, room))) continue;
    for (const name of fs.readdirSync(path.join(root, room), { recursive: true })) {
      if (/\.(c?ts|json|cjs|proto)$/u.test(name)) files.push(path.join(room, name));
    }
  }
  return Math.max(...files.map((file) => fs.statSync(path.join(root, file)).mtimeMs));
}

function isStale() {
  return !fs.existsSync(stamp) || fs.statSync(stamp).mtimeMs < newestSource();
}

/** Compiles into dist/. Ends the process with code 1 when the compiler is missing or complains. */
function build() {
  const startedAt = new Date();
  const compiler = path.join(root, "node_modules", ".bin", "tsc");
  if (!fs.existsSync(compiler)) {
    process.stderr.write("spiredb: the compiler is not installed; run `npm ci` first\n");
    process.exit(1);
  }
  // The compiler's words go to stderr: stdout belongs to the ready line.
  const { status } = spawnSync(compiler, ["-p", "deploy"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) {
    process.stderr.write("spiredb: the build failed\n");
    process.exit(1);
  }
  const launcher = path.join(root, "dist", "deploy", "cli.js");
  // Node runs a symbolic link as the file it points to, so cli.js is CommonJS inside an ESM package.
  fs.rmSync(launcher, { force: true });
  fs.symlinkSync("cli.cjs", launcher);
  fs.chmodSync(path.join(root, "dist", "deploy", "cli.cjs"), 0o755);
  fs.writeFileSync(stamp, "");
  // Sources edited while the compiler ran must count as newer.
  fs.utimesSync(stamp, startedAt, startedAt);
}

module.exports = { build, isStale };

if (require.main === module) build();
