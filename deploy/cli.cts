#!/usr/bin/env node
// The launcher behind the `spiredb` command. libuv reads the size of its thread pool once, when the
// pool is first used, and Node's ESM loader uses it before an ESM entry runs (measured on Node
// 20.20: 4 threads); a CommonJS entry comes early enough. It starts main.js and does nothing else.

// RocksDB and the journal share the pool: a stalled compaction must not keep a log write waiting.
process.env["UV_THREADPOOL_SIZE"] ||= "16";
void import("./main.js");
