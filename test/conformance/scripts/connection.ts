// The connection family as tables of command lines: HELLO, AUTH, SELECT, CLIENT, PING, RESET.

import { script, type Script } from "../run.ts";

export const CONNECTION: readonly Script[] = [
  script(
    "PING and ECHO",
    String.raw`
    PING
    PING hello
    PING ""
    PING a b
    ping
    ECHO hello
    ECHO ""
    ECHO "\x00\xff"
    ECHO
    ECHO a b
    `,
  ),
  script(
    "HELLO",
    String.raw`
    HELLO
    HELLO 2
    HELLO 3
    PING
    GET none
    HELLO 2
    GET none
    HELLO 1
    HELLO 4
    HELLO x
    HELLO ""
    HELLO 3.0
    HELLO -1
    HELLO 3 AUTH
    HELLO 3 AUTH default
    HELLO 3 AUTH default wrong
    HELLO 3 AUTH default ""
    HELLO 3 AUTH nobody x
    HELLO 3 SETNAME
    HELLO 3 SETNAME tester
    CLIENT GETNAME
    HELLO 3 SETNAME "with space"
    CLIENT GETNAME
    HELLO 2 setname other auth default anything
    CLIENT GETNAME
    HELLO 3 FOO
    HELLO 3 FOO bar
    HELLO 2 SETNAME ""
    CLIENT GETNAME
    `,
  ),
  script(
    "AUTH without a password",
    String.raw`
    AUTH x
    AUTH default x
    AUTH default ""
    AUTH nobody x
    AUTH
    AUTH a b c
    PING
    `,
  ),
  script(
    "SELECT",
    String.raw`
    SELECT 0
    SELECT 15
    SELECT 16
    SELECT -1
    SELECT x
    SELECT ""
    SELECT 1.5
    SELECT 9223372036854775808
    SELECT 4294967296
    SELECT " 1"
    SELECT 01
    CLIENT INFO
    `,
  ),
  script(
    "RESET",
    String.raw`
    SELECT 3
    CLIENT SETNAME me
    SET a 1
    RESET
    CLIENT GETNAME
    GET a
    HELLO 3
    GET none
    RESET
    GET none
    RESET x
    `,
  ),
  script(
    "CLIENT names",
    String.raw`
    CLIENT GETNAME
    CLIENT SETNAME me
    CLIENT GETNAME
    client getname
    CLIENT SETNAME "a b"
    CLIENT SETNAME "a\nb"
    CLIENT SETNAME "\x80"
    CLIENT SETNAME "~!@#"
    CLIENT GETNAME
    CLIENT SETNAME ""
    CLIENT GETNAME
    CLIENT SETNAME
    CLIENT SETNAME a b
    CLIENT GETNAME x
    `,
  ),
  script(
    "CLIENT ID, INFO and LIST",
    String.raw`
    CLIENT ID
    CLIENT ID x
    CLIENT INFO
    CLIENT SETNAME me
    SELECT 4
    CLIENT INFO
    CLIENT INFO x
    CLIENT LIST TYPE pubsub
    CLIENT LIST TYPE replica
    CLIENT LIST TYPE master
    CLIENT LIST TYPE foo
    CLIENT LIST TYPE
    CLIENT LIST ID 999999999
    CLIENT LIST ID x
    CLIENT LIST ID
    CLIENT LIST ID 0
    CLIENT LIST ID -1
    CLIENT LIST FOO
    CLIENT LIST FOO bar
    CLIENT LIST TYPE normal extra
    `,
  ),
  script(
    "CLIENT KILL",
    String.raw`
    CLIENT KILL
    CLIENT KILL 1.2.3.4:5
    CLIENT KILL ID 999999999
    CLIENT KILL ID x
    CLIENT KILL ID 0
    CLIENT KILL ID -1
    CLIENT KILL ADDR 1.2.3.4:5
    CLIENT KILL LADDR 1.2.3.4:5
    CLIENT KILL TYPE foo
    CLIENT KILL TYPE pubsub
    CLIENT KILL TYPE replica
    CLIENT KILL USER nobody
    CLIENT KILL FOO bar
    CLIENT KILL ID
    CLIENT KILL ID 999999999 ADDR 1.2.3.4:5 SKIPME yes
    CLIENT KILL ID 999999999 SKIPME no
    CLIENT KILL ID 999999999 SKIPME foo
    CLIENT KILL ID 999999999 ADDR
    CLIENT KILL SKIPME yes TYPE pubsub
    `,
  ),
  script(
    "CLIENT NO-EVICT and unknown sub-commands",
    String.raw`
    CLIENT NO-EVICT ON
    CLIENT INFO
    CLIENT NO-EVICT off
    CLIENT NO-EVICT maybe
    CLIENT NO-EVICT
    CLIENT NO-EVICT on x
    CLIENT HELP
    CLIENT HELP x
    CLIENT FOO
    CLIENT FOO bar
    CLIENT ""
    CLIENT
    `,
  ),
  script(
    "unknown commands",
    String.raw`
    FOO
    foo bar
    FOO a b c "with space" "\x00\r\n"
    FOO ""
    ""
    "" a
    "with space"
    "GET "
    "\r\n"
    FOO 11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111 b
    SETX a 1
    GETT a
    foobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobarfoobar x
    CLIENT|LIST
    config|get x
    `,
  ),
  {
    title: "unknown command with long and many arguments",
    steps: [
      ["FOO", "x".repeat(200), "y"],
      ["FOO", ...Array.from({ length: 50 }, (_, i) => `arg${i}`)],
      ["F".repeat(300), "a"],
      ["FOO", "a".repeat(127)],
      ["FOO", "a".repeat(128)],
      ["FOO", "a".repeat(129), "b"],
      ["FOO", "a".repeat(60), "b".repeat(60), "c".repeat(60)],
      ["CLIENT", "x".repeat(300)],
      ["OBJECT", "with\r\nnewline", "a"],
    ],
  },
  script("QUIT", "SET a 1\nQUIT\nGET a"),
  script("QUIT with arguments", "QUIT now\nGET a"),
];
