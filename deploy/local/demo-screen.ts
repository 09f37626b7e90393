// What the demo shows: events as lines, and below them one line of counters that is drawn again and
// again. On anything but a terminal the counters are a plain line every few seconds instead.

/** The numbers of the line. Times in ms. */
export interface Counters {
  readonly elapsedMs: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly kills: number;
  readonly lastFailoverMs: number | undefined;
  readonly maxFailoverMs: number | undefined;
}

/** Standard output as the screen needs it; `columns` means nothing where it is no terminal. */
export interface Terminal {
  readonly isTTY: boolean;
  readonly columns: number;
  write(text: string): unknown;
}

const drawEveryMs = 200;
const lineEveryMs = 5000;
const clearLine = "\r\u001B[2K";

const seconds = (ms: number | undefined): string =>
  ms === undefined ? "-" : `${(ms / 1000).toFixed(2)} s`;

/** One line of counters, for a terminal of 80 columns. */
export function counterLine(counters: Counters, perSecond: number): string {
  const { elapsedMs, acknowledged, lost, kills } = counters;
  const { lastFailoverMs, maxFailoverMs } = counters;
  return [
    `${Math.floor(elapsedMs / 1000)} s`.padStart(4),
    `acknowledged ${acknowledged.toLocaleString("en")} (${Math.round(perSecond)}/s)`,
    `lost ${lost}`,
    `kills ${kills}`,
    `failover ${seconds(lastFailoverMs)}, max ${seconds(maxFailoverMs)}`,
  ].join("  ");
}

export class Screen {
  readonly #terminal: Terminal;
  readonly #counters: () => Counters;
  readonly #timer: NodeJS.Timeout;
  #before: Counters;
  #perSecond = 0;

  constructor(terminal: Terminal, counters: () => Counters) {
    this.#terminal = terminal;
    this.#counters = counters;
    this.#before = counters();
    this.#timer = setInterval(() => this.#draw(), terminal.isTTY ? drawEveryMs : lineEveryMs);
  }

  /** A line that stays. */
  event(text: string): void {
    const at = `[${(this.#counters().elapsedMs / 1000).toFixed(1)} s]`;
    this.#terminal.write(`${this.#terminal.isTTY ? clearLine : ""}${at} ${text}\n`);
  }

  /** Draws no more. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#terminal.isTTY) this.#terminal.write(clearLine);
  }

  #draw(): void {
    const now = this.#counters();
    const passedMs = now.elapsedMs - this.#before.elapsedMs;
    // Over a second, so that the figure can be read.
    if (passedMs >= 1000) {
      this.#perSecond = ((now.acknowledged - this.#before.acknowledged) * 1000) / passedMs;
      this.#before = now;
    }
    const line = counterLine(now, this.#perSecond);
    if (this.#terminal.isTTY) {
      // A line that wraps could not be drawn over.
      this.#terminal.write(`${clearLine}${line.slice(0, this.#terminal.columns - 1)}`);
    } else this.#terminal.write(`${line}\n`);
  }
}
