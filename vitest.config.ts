import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project(
        "unit",
        [
          "test/*.test.ts",
          "test/{storage,transport,resp,actors,deploy,linearizability}/**/*.test.ts",
        ],
        30_000,
      ),
      project("simulation", ["test/simulation/**/*.test.ts"], 60_000),
      project("conformance", ["test/conformance/**/*.test.ts"], 300_000),
      project("integration", ["test/integration/**/*.test.ts"], 300_000),
    ],
  },
});
