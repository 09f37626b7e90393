// The options of the scripts beside the product: `--help` prints them, and what is none of them, or no
// number where one is meant, ends the script with a word about it.

import { Command, InvalidArgumentError } from "commander";

/** A script as it is called, and what it does; add its options, then `parse().opts()`. */
export function npmScript(name: string, about: string): Command {
  return new Command(`npm run ${name} --`).description(about).showHelpAfterError();
}

/** For options that are numbers, 0 or more. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0)) throw new InvalidArgumentError("It is not a number.");
  return value;
}
