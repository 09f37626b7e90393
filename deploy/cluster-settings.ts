// The rows of the settings table that matter to a node among others: how it reaches NATS, whom it
// forms a cluster with, and how its regions are kept and read. Part of the table in settings.ts.

import type { ReadMode } from "../actors/store/protocol.ts";
import { row, type Setting } from "./setting.ts";
import { anyText, natsServers, nodeNames, oneOf, wholeNumber } from "./values.ts";

const readModes: readonly ReadMode[] = ["lease", "quorum", "stale"];

/** A path to a file, or nothing. */
function fileRow<K extends "natsCreds" | "natsNkey" | "natsTlsCa" | "natsTlsCert" | "natsTlsKey">(
  key: K,
  about: string,
): Setting<K> {
  const flag = key.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
  return row({
    key,
    flag,
    value: "<file>",
    fallback: "",
    parse: anyText,
    about,
  });
}

/** By the keys of `Config`, in the order of --help. */
export const clusterRows = {
  nats: row({
    key: "nats",
    flag: "nats",
    value: "<urls>",
    fallback: [],
    parse: natsServers,
    about: "NATS servers that join this node to others, comma between them",
    fallbackText: "none, the node is alone",
  }),
  natsUser: row({
    key: "natsUser",
    flag: "nats-user",
    value: "<name>",
    fallback: "",
    parse: anyText,
    about: "user of NATS",
  }),
  natsPassword: row({
    key: "natsPassword",
    flag: "nats-password",
    value: "<password>",
    fallback: "",
    parse: anyText,
    secret: true,
    about: "password of that user (better as SPIRE_NATS_PASSWORD)",
  }),
  natsCreds: fileRow("natsCreds", "credentials file of NATS (JWT and seed)"),
  natsNkey: fileRow("natsNkey", "file with the seed of an NKey of NATS"),
  natsTlsCa: fileRow("natsTlsCa", "PEM of who signed the certificate of NATS; turns TLS on"),
  natsTlsCert: fileRow("natsTlsCert", "PEM of the certificate this node shows to NATS"),
  natsTlsKey: fileRow("natsTlsKey", "PEM of its private key"),
  bootstrapExpect: row({
    key: "bootstrapExpect",
    flag: "bootstrap-expect",
    value: "<count>",
    fallback: 0,
    parse: wholeNumber(0, 1000),
    about:
      "found a cluster out of the first so many nodes; without this and the next, only join one",
    fallbackText: "not set",
  }),
  initialNodes: row(
    {
      key: "initialNodes",
      flag: "initial-nodes",
      value: "<ids>",
      fallback: [],
      parse: nodeNames,
      about: "found a cluster out of exactly these node ids, comma between them",
      fallbackText: "not set",
    },
    "CLUSTER_NODES",
  ),
  replicas: row({
    key: "replicas",
    flag: "replicas",
    value: "<count>",
    fallback: 3,
    parse: wholeNumber(1, 9),
    about: "nodes that keep each region, where there are as many; fixed when the cluster forms",
  }),
  readMode: row({
    key: "readMode",
    flag: "read-mode",
    value: "<mode>",
    fallback: "lease",
    parse: oneOf(readModes),
    about: "lease or quorum (both linearizable, quorum asks before each read), or stale",
  }),
};
