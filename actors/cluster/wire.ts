// What nodes say to each other about membership and liveness, as bytes: introductions and answers
// packed by msgpackr, because they are rare, heartbeats by hand, because they are not. Each body
// opens with a version and a kind; what does not fit is a WireError and never a guess.

import { Packr } from "msgpackr";
import type { Formation, Member, NodeInfo, Proposal } from "./protocol.ts";

const version = 1;
const headBytes = 2;
const kinds = { introduction: 1, answer: 2, heartbeat: 3, goodbye: 4 } as const;
const u48Bytes = 6;
const u48Max = 2 ** 48 - 1;
/** flags, round, sentAtMs, wallMs, epoch, process, then epoch, process, round, sentAtMs of the ack. */
const fixedBytes = 1 + u48Bytes + 8 + 8 + 2 * u48Bytes + 3 * u48Bytes + 8;
const packr = new Packr({ useRecords: false });

/** The body is of another version, or broken. */
export class WireError extends Error {
  override readonly name = "WireError";
  /** The version found when it is not ours; undefined when the body is broken. */
  readonly foundVersion: number | undefined;

  constructor(message: string, foundVersion?: number) {
    super(message);
    this.foundVersion = foundVersion;
  }
}

/** How a node presents itself to everybody: all that formation needs to know of it. */
export interface Introduction {
  readonly info: NodeInfo;
  /** Random 48 bits of this process: tells two that claim to be one node apart. */
  readonly process: number;
  /** Age of the process, ms. */
  readonly upForMs: number;
  readonly formation: Formation;
  /** Node ids it heard lately. */
  readonly hears: readonly string[];
  /** Durable when it is said. */
  readonly pledge: Proposal | undefined;
  readonly formed: Proposal | undefined;
}

/** What a node of a formed cluster says to one node that introduced itself. */
export interface Answer {
  readonly introduction: Introduction;
  /** Whom it is meant for: the id alone may belong to two processes. */
  readonly incarnation: string;
  /** Why that node cannot be one of this cluster; undefined = it is welcome. */
  readonly refusal: string | undefined;
}

/** One process start of one node. */
export interface ProcessName {
  readonly epoch: number;
  readonly process: number;
}

/** One heartbeat. */
export interface Heartbeat extends ProcessName {
  readonly clusterId: string;
  readonly incarnation: string;
  readonly respAddress: string;
  readonly httpAddress: string;
  readonly round: number;
  /** The receiver answers at the end of its turn. */
  readonly wantsAnswer: boolean;
  /** Monotonic clock of the sender. */
  readonly sentAtMs: number;
  readonly wallMs: number;
  /** The newest heartbeat received from the receiver, and of which of its processes; round 0 = none. */
  readonly ack: ProcessName & { readonly round: number; readonly sentAtMs: number };
  readonly cargo: Buffer;
}

/** "I am going": the node is down for whoever reads this. */
export interface Goodbye extends ProcessName {
  readonly clusterId: string;
  readonly incarnation: string;
}

/** A body for one node. */
export type ClusterMessage =
  | { readonly kind: "introduction"; readonly introduction: Introduction }
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "heartbeat"; readonly heartbeat: Heartbeat }
  | { readonly kind: "goodbye"; readonly goodbye: Goodbye };

const packed = (kind: number, content: unknown): Buffer =>
  Buffer.concat([Buffer.from([version, kind]), packr.pack(content)]);

export function encodeIntroduction(introduction: Introduction): Buffer {
  return packed(kinds.introduction, introductionFields(introduction));
}

export function encodeAnswer({ introduction, incarnation, refusal }: Answer): Buffer {
  const fields = [introductionFields(introduction), incarnation, refusal ?? null];
  return packed(kinds.answer, fields);
}

export function encodeGoodbye({ clusterId, incarnation, epoch, process }: Goodbye): Buffer {
  return packed(kinds.goodbye, [clusterId, incarnation, epoch, process]);
}

export function encodeHeartbeat(heartbeat: Heartbeat): Buffer {
  const { clusterId, incarnation, respAddress, httpAddress, ack, cargo } = heartbeat;
  const texts = [clusterId, incarnation, respAddress, httpAddress].map((each) => Buffer.from(each));
  const textBytes = texts.reduce((sum, { length }) => sum + 1 + length, 0);
  const body = Buffer.allocUnsafe(headBytes + fixedBytes + textBytes + cargo.length);
  body[0] = version;
  body[1] = kinds.heartbeat;
  body[2] = heartbeat.wantsAnswer ? 1 : 0;
  let at = body.writeUIntBE(heartbeat.round, 3, u48Bytes);
  at = body.writeDoubleBE(heartbeat.sentAtMs, at);
  at = body.writeDoubleBE(heartbeat.wallMs, at);
  at = body.writeUIntBE(heartbeat.epoch, at, u48Bytes);
  at = body.writeUIntBE(heartbeat.process, at, u48Bytes);
  at = body.writeUIntBE(ack.epoch, at, u48Bytes);
  at = body.writeUIntBE(ack.process, at, u48Bytes);
  at = body.writeUIntBE(ack.round, at, u48Bytes);
  at = body.writeDoubleBE(ack.sentAtMs, at);
  for (const bytes of texts) {
    at = body.writeUInt8(bytes.length, at);
    at += bytes.copy(body, at);
  }
  cargo.copy(body, at);
  return body;
}

/** Inverse of the encoders. Throws WireError. `cargo` is a view of `body`. */
export function decodeMessage(body: Buffer): ClusterMessage {
  if (body.length < headBytes) throw new WireError("a cluster message is empty");
  if (body[0] !== version) {
    const found = `a cluster message of protocol version ${body[0]}`;
    throw new WireError(`${found}; this node speaks ${version}`, body[0]);
  }
  try {
    return decodeContent(body);
  } catch (error) {
    if (error instanceof WireError) throw error;
    // Readers and unpackers throw errors of their own behind the end.
    throw new WireError(`a cluster message is broken: ${String(error)}`);
  }
}

function decodeContent(body: Buffer): ClusterMessage {
  switch (body[1]) {
    case kinds.introduction:
      return { kind: "introduction", introduction: introductionOf(unpacked(body)) };
    case kinds.answer: {
      const [introduction, incarnation, refusal] = list(unpacked(body));
      const answer = {
        introduction: introductionOf(introduction),
        incarnation: text(incarnation),
        refusal: refusal === null ? undefined : text(refusal),
      };
      return { kind: "answer", answer };
    }
    case kinds.goodbye: {
      const [clusterId, incarnation, epoch, process] = list(unpacked(body));
      const goodbye = {
        clusterId: text(clusterId),
        incarnation: text(incarnation),
        epoch: count(epoch),
        process: count(process),
      };
      return { kind: "goodbye", goodbye };
    }
    case kinds.heartbeat:
      return { kind: "heartbeat", heartbeat: heartbeatOf(body) };
    default:
      throw new WireError(`a cluster message of unknown kind ${body[1]}`);
  }
}

function heartbeatOf(body: Buffer): Heartbeat {
  let at = headBytes + fixedBytes;
  const texts: string[] = [];
  for (let i = 0; i < 4; i++) {
    const end = at + 1 + body.readUInt8(at);
    if (end > body.length) throw new WireError("a heartbeat ends too early");
    texts.push(body.toString("utf8", at + 1, end));
    at = end;
  }
  const [clusterId = "", incarnation = "", respAddress = "", httpAddress = ""] = texts;
  return {
    clusterId,
    incarnation,
    respAddress,
    httpAddress,
    wantsAnswer: body[2] === 1,
    round: body.readUIntBE(3, u48Bytes),
    sentAtMs: body.readDoubleBE(9),
    wallMs: body.readDoubleBE(17),
    epoch: body.readUIntBE(25, u48Bytes),
    process: body.readUIntBE(31, u48Bytes),
    ack: {
      epoch: body.readUIntBE(37, u48Bytes),
      process: body.readUIntBE(43, u48Bytes),
      round: body.readUIntBE(49, u48Bytes),
      sentAtMs: body.readDoubleBE(55),
    },
    cargo: body.subarray(at),
  };
}

function introductionFields(introduction: Introduction): unknown[] {
  const { info, process, upForMs, formation, hears, pledge, formed } = introduction;
  const { nodeId, incarnation, epoch, respAddress, httpAddress } = info;
  return [
    [nodeId, incarnation, epoch, respAddress, httpAddress],
    process,
    upForMs,
    formation.kind,
    formation.kind === "expect" ? formation.count : 0,
    formation.kind === "named" ? formation.nodeIds : [],
    hears,
    pledge === undefined ? null : proposalFields(pledge),
    formed === undefined ? null : proposalFields(formed),
  ];
}

function introductionOf(value: unknown): Introduction {
  const [info, process, upForMs, kind, expected, named, hears, pledge, formed] = list(value);
  const [nodeId, incarnation, epoch, respAddress, httpAddress] = list(info);
  return {
    info: {
      nodeId: text(nodeId),
      incarnation: text(incarnation),
      epoch: count(epoch),
      respAddress: text(respAddress),
      httpAddress: text(httpAddress),
    },
    process: count(process),
    upForMs: number(upForMs),
    formation: formationOf(text(kind), count(expected), list(named).map(text)),
    hears: list(hears).map(text),
    pledge: pledge === null ? undefined : proposalOf(pledge),
    formed: formed === null ? undefined : proposalOf(formed),
  };
}

function formationOf(kind: string, expected: number, nodeIds: string[]): Formation {
  if (kind === "alone") return { kind };
  if (kind === "expect") return { kind, count: expected };
  if (kind === "named") return { kind, nodeIds };
  throw new WireError(`a formation of unknown kind ${kind}`);
}

function proposalFields({ clusterId, members, regionCount, hashTags, replicas }: Proposal) {
  const pairs = members.map(({ nodeId, incarnation }) => [nodeId, incarnation]);
  return [clusterId, pairs, regionCount, hashTags, replicas];
}

function proposalOf(value: unknown): Proposal {
  const [clusterId, pairs, regionCount, hashTags, replicas] = list(value);
  const members = list(pairs).map((pair): Member => {
    const [nodeId, incarnation] = list(pair);
    return { nodeId: text(nodeId), incarnation: text(incarnation) };
  });
  return {
    clusterId: text(clusterId),
    members,
    regionCount: count(regionCount),
    hashTags: hashTags === true,
    replicas: count(replicas),
  };
}

function unpacked(body: Buffer): unknown {
  return packr.unpack(body.subarray(headBytes));
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new WireError("a cluster message has something else where a list belongs");
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new WireError("a cluster message has something else where a text belongs");
}

function number(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new WireError("a cluster message has something else where a number belongs");
}

/** A whole number that fits 48 bits. */
function count(value: unknown): number {
  const found = number(value);
  if (Number.isInteger(found) && found >= 0 && found <= u48Max) return found;
  throw new WireError(`a cluster message counts ${found}`);
}
