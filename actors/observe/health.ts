// Named health checks and the two questions probes ask of them: does the process work (livez), and
// should it get traffic (readyz). It follows the text format of etcd and Kubernetes; it sits between
// the rooms, which register checks, and http.ts. It never repairs anything.

/** Undefined: fine. Else why not, in a few words. Reads state only; a throw counts as a failure. */
export type HealthCheck = () => string | undefined;

/** An answer to a probe. */
export interface HealthReport {
  readonly ok: boolean;
  /** Plain text, ends with a newline. */
  readonly text: string;
}

/** What a probe asked for. */
export interface HealthQuery {
  readonly verbose: boolean;
  /** Names of checks to leave out. */
  readonly exclude: ReadonlySet<string>;
}

export type HealthKind = "livez" | "readyz";

const run = (check: HealthCheck): string | undefined => {
  try {
    return check();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/** The checks of one node. */
export class Health {
  readonly #checks = new Map<string, { readonly live: boolean; readonly check: HealthCheck }>();

  /**
   * Adds a check under a name, or replaces it. With `live` its failure also fails livez: only for
   * what a restart of the process would cure. The result removes it.
   */
  check(name: string, check: HealthCheck, live = false): () => void {
    const entry = { live, check };
    this.#checks.set(name, entry);
    return () => {
      if (this.#checks.get(name) === entry) this.#checks.delete(name);
    };
  }

  /** Runs the checks of this kind. Failures are always named, the rest only when `verbose`. */
  report(kind: HealthKind, { verbose, exclude }: HealthQuery): HealthReport {
    const lines: string[] = [];
    let ok = true;
    for (const [name, { live, check }] of this.#checks) {
      if (kind === "livez" && !live) continue;
      if (exclude.has(name)) {
        lines.push(`[+]${name} excluded: ok`);
        continue;
      }
      const failure = run(check);
      if (failure !== undefined) ok = false;
      lines.push(failure === undefined ? `[+]${name} ok` : `[-]${name} failed: ${failure}`);
    }
    if (ok && !verbose) return { ok, text: "ok\n" };
    lines.push(`${kind} check ${ok ? "passed" : "failed"}`);
    return { ok, text: `${lines.join("\n")}\n` };
  }
}
