// Adds up vitest's JSON reports and prints the one line that .ci/run ends with. A step that failed
// without a failed test (an install, types, lint) counts as one failure, so that the line never
// says "0 failed" for a run that did not pass.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder = ".", ...failedSteps] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);
let passed = 0;
let failed = 0;
let explained = false;

for (const name of existsSync(folder) ? readdirSync(folder) : []) {
  if (!name.endsWith(".json")) continue;
  const report = JSON.parse(readFileSync(join(folder, name), "utf8"));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  if (report.numFailedTests > 0) explained = true;
}
const unexplained = failedSteps.filter((step) => step !== "npm test" || !explained);
if (failedSteps.length > 0) say(`failed steps: ${failedSteps.join(", ")}`);
failed += unexplained.length;
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
