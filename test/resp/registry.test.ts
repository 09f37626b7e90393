// Finding commands: names in any case, sub-commands, arity, keys; and the promises every literal makes.

import { describe, expect, test } from "vitest";
import { describeCommand, documentCommand } from "../../resp/description.ts";
import { encodeReply } from "../../resp/encoder.ts";
import { keyPositions } from "../../resp/registry.ts";
import { ErrorReply } from "../../resp/reply.ts";
import { registry } from "../../resp/table.ts";
import { words } from "./commands/evaluate.ts";

const resolve = (line: string): string => {
  const found = registry.resolve(words(line));
  return found instanceof ErrorReply ? found.message : found.name;
};

const keysOf = (line: string): number[] => {
  const command = registry.resolve(words(line));
  return command instanceof ErrorReply ? [-1] : keyPositions(command, words(line));
};

describe("registry", () => {
  test("finds commands and sub-commands in any case", () => {
    expect(resolve("get k")).toBe("get");
    expect(resolve("GeT k")).toBe("get");
    expect(resolve("OBJECT encoding k")).toBe("object|encoding");
    expect(resolve("debug OBJECT k")).toBe("debug|object");
    expect(resolve("COMMAND")).toBe("command");
    expect(resolve("COMMAND COUNT")).toBe("command|count");
  });

  test("refuses in Redis' words", () => {
    expect(resolve("foo a b")).toBe(
      "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
    );
    expect(resolve("get")).toBe("ERR wrong number of arguments for 'get' command");
    expect(resolve("object encoding")).toBe(
      "ERR wrong number of arguments for 'object|encoding' command",
    );
    expect(resolve("object what k")).toBe("ERR unknown subcommand 'what'. Try OBJECT HELP.");
    expect(resolve("object")).toBe("ERR wrong number of arguments for 'object' command");
    expect(resolve("get|x k")).toMatch(/^ERR unknown command/);
    expect(resolve("object|encoding k")).toMatch(/^ERR unknown command/);
  });

  test("quotes the bytes of a client as they came, up to the first NUL", () => {
    expect(resolve("f\xff\0x a\0b \xc3\xa9")).toBe(
      "ERR unknown command 'f\xff', with args beginning with: 'a' '\xc3\xa9' ",
    );
    expect(resolve("object wh\xff\0at")).toBe("ERR unknown subcommand 'wh\xff'. Try OBJECT HELP.");
  });

  test("finds the keys of a request", () => {
    expect(keysOf("get k")).toEqual([1]);
    expect(keysOf("mset a 1 b 2")).toEqual([1, 3]);
    expect(keysOf("bitop and d a b")).toEqual([2, 3, 4]);
    expect(keysOf("object encoding k")).toEqual([2]);
    expect(keysOf("ping")).toEqual([]);
  });

  test("every literal can be described, and has keys exactly when it runs in a region", () => {
    for (const command of registry.commands) {
      for (const each of [command, ...(command.subcommands ?? [])]) {
        expect(encodeReply(describeCommand(each), 3).length).toBeGreaterThan(0);
        expect(encodeReply(documentCommand(each), 2).length).toBeGreaterThan(0);
        if (each.runs === "region") expect(each.keys, each.name).toBeDefined();
        expect(each.name).toBe(each.name.toLowerCase());
      }
    }
  });
});
