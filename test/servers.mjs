// The first step of `npm test`: makes sure that the servers the tests compare with are installed and
// that dist/ is built, before any test runs. As root on Debian or Ubuntu it installs what is missing
// with apt and says so; else it stops with one line that names what is missing and how to get it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

const servers = [
  { program: "redis-server", apt: "redis-server", elsewhere: "brew install redis" },
  { program: "nats-server", apt: "nats-server", elsewhere: "brew install nats-server" },
];

const isInstalled = (program) =>
  (process.env.PATH ?? "").split(":").some((folder) => existsSync(`${folder}/${program}`));

const missing = servers.filter(({ program }) => !isInstalled(program));

if (missing.length > 0) {
  const packages = missing.map(({ apt }) => apt);
  if (process.getuid?.() === 0 && isInstalled("apt-get")) {
    console.log(`installing missing test servers with apt: ${packages.join(" ")}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    // Debian's package starts a server of its own on 6379; a policy of "no" keeps it from doing so.
    env.RUNLEVEL = "1";
    const apt = (...args) =>
      spawnSync("apt-get", ["-q", ...args], { env, stdio: "inherit" }).status;
    apt("update");
    apt("install", "-y", "--no-install-recommends", ...packages);
  }
}

const lacking = servers.filter(({ program }) => !isInstalled(program));
if (lacking.length > 0) {
  const names = lacking.map(({ program }) => program).join(", ");
  const packages = lacking.map(({ apt }) => apt).join(" ");
  const elsewhere = lacking.map((server) => server.elsewhere).join("; ");
  console.error(
    `the tests need ${names}: sudo apt-get install ${packages} (elsewhere: ${elsewhere})`,
  );
  process.exit(1);
}

const { build, isStale } = createRequire(import.meta.url)("../deploy/build.cjs");
if (isStale()) {
  console.log("building dist/ for the tests with real processes");
  build();
}
