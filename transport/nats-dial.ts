// One attempt to connect to one NATS server, and what its failure means: try again, or change the
// settings. It stands between the settings and the `nats` package; it keeps no connection and tries
// nothing twice.

import { readFileSync } from "node:fs";
import { createConnection, isIP } from "node:net";

import { connect, credsAuthenticator, nkeyAuthenticator } from "nats";
import type { ConnectionOptions, NatsConnection, TlsOptions } from "nats";

/** How to be let in; what stands in a server's URL goes before it. */
export interface NatsCredentials {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** An nkey seed, "SU…". */
  readonly nkeySeed?: string | undefined;
  /** Path of a .creds file, read at every attempt. */
  readonly credsFile?: string | undefined;
  /** TLS even if the server does not ask for it; paths of PEM files, read at every attempt. */
  readonly tls?: NatsTls | undefined;
}

export interface NatsTls {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** For servers with `handshake_first`. */
  readonly handshakeFirst?: boolean | undefined;
}

export interface DialSettings extends NatsCredentials {
  /** Shown in the server's connection list. */
  readonly name: string;
  readonly dialTimeoutMs: number;
  readonly pingIntervalMs: number;
}

/** A server as its URL says. */
export interface NatsServer {
  readonly host: string;
  readonly port: number;
  /** host:port, for messages: without the password. */
  readonly label: string;
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

/** A server answered but we cannot use it: the settings must change, on one side or the other. */
export class NatsRefusedError extends Error {
  override name = "NatsRefusedError";
}

const defaultPort = 4222;

const decoded = (part: string): string | undefined =>
  part === "" ? undefined : decodeURIComponent(part);

/** `nats://` or `tls://` (or nothing), `user:password@` or `token@`, host, port. Throws TypeError. */
export function parseServer(text: string): NatsServer {
  const whole = text.includes("://") ? text : `nats://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || url.hostname === "" || !["nats:", "tls:"].includes(url.protocol)) {
    throw new TypeError(`not the URL of a NATS server: ${text.replace(/\/\/.*@/, "//…@")}`);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? defaultPort : Number(url.port);
  return {
    host,
    port,
    label: `${url.hostname}:${port}`,
    tls: url.protocol === "tls:",
    user: decoded(url.username),
    password: decoded(url.password),
  };
}

/**
 * Connects once. A broken connection stays broken: whoever dialled dials again. Rejects with
 * NatsRefusedError or, when it may work later, with any other error.
 */
export async function dial(
  server: NatsServer,
  settings: DialSettings,
  signal: AbortSignal,
): Promise<NatsConnection> {
  try {
    if (settings.tls?.handshakeFirst !== true) await greet(server, settings.dialTimeoutMs, signal);
    return await connect(connectionOptions(server, settings));
  } catch (error) {
    signal.throwIfAborted();
    throw explain(server, error);
  }
}

/**
 * Waits for the server's first line and hangs up. The package would leave the socket open when a
 * stopped server takes the connection (its kernel does) and never says a word.
 */
function greet(server: NatsServer, timeoutMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: server.host, port: server.port });
    const hangUp = (): void => void socket.destroy();
    signal.addEventListener("abort", hangUp, { once: true });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("it does not answer")));
    socket.once("data", () => {
      resolve();
      hangUp();
    });
    socket.once("error", reject);
    socket.once("close", () => {
      signal.removeEventListener("abort", hangUp);
      reject(new Error("it hung up"));
    });
  });
}

function connectionOptions(server: NatsServer, settings: DialSettings): ConnectionOptions {
  const { name, dialTimeoutMs, pingIntervalMs } = settings;
  const tls = tlsOptions(server, settings.tls);
  return {
    servers: server.label,
    name,
    timeout: dialTimeoutMs,
    pingInterval: pingIntervalMs,
    maxPingOut: 2,
    reconnect: false,
    // The system's resolver knows /etc/hosts, and tries both address families.
    resolve: false,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    noEcho: true,
    ...(tls === undefined ? {} : { tls }),
    ...authentication(server, settings),
  };
}

function authentication(server: NatsServer, settings: DialSettings): ConnectionOptions {
  const { nkeySeed, credsFile } = settings;
  if (server.user !== undefined) {
    if (server.password === undefined) return { token: server.user };
    return { user: server.user, pass: server.password };
  }
  if (credsFile !== undefined)
    return { authenticator: credsAuthenticator(readFileSync(credsFile)) };
  if (nkeySeed !== undefined) return { authenticator: nkeyAuthenticator(Buffer.from(nkeySeed)) };
  if (settings.token !== undefined) return { token: settings.token };
  if (settings.user !== undefined) return { user: settings.user, pass: settings.password ?? "" };
  return {};
}

/** The package hands these on to `tls.connect`, with more than its own types name. */
function tlsOptions(server: NatsServer, tls: NatsTls | undefined): TlsOptions | undefined {
  if (tls === undefined && !server.tls) return undefined;
  // Over a socket that is already open, Node would check the certificate for "localhost".
  const verified = isIP(server.host) === 0 ? { servername: server.host } : { host: server.host };
  const options: TlsOptions & { servername?: string; host?: string } = { ...verified };
  if (tls?.caFile !== undefined) options.caFile = tls.caFile;
  if (tls?.certFile !== undefined) options.certFile = tls.certFile;
  if (tls?.keyFile !== undefined) options.keyFile = tls.keyFile;
  if (tls?.handshakeFirst === true) options.handshakeFirst = true;
  return options;
}

const authenticationCodes = new Set([
  "AUTHORIZATION_VIOLATION",
  "AUTHENTICATION_EXPIRED",
  "AUTHENTICATION_TIMEOUT",
  "ACCOUNT_EXPIRED",
  "BAD_AUTHENTICATION",
  "BAD_CREDS",
]);
/** Codes of the package, of Node's TLS and of OpenSSL, and of files that cannot be read. */
const settingsCodes = /^TLS$|^SERVER_OPT_NA$|CERT|^ERR_TLS|^ERR_SSL|^ERR_OSSL|SIGNATURE|^ENOENT$/;

function explain(server: NatsServer, error: unknown): Error {
  const at = `the NATS server ${server.label}`;
  const { code = "", message = "it hung up" } = (error ?? {}) as {
    code?: string;
    message?: string;
  };
  const options = { cause: error };
  if (authenticationCodes.has(code)) {
    return new NatsRefusedError(
      `${at} does not accept our user, password, token or key (${message})`,
      options,
    );
  }
  // A broken certificate chain, a missing file and a server without TLS are told by their codes.
  if (settingsCodes.test(code)) {
    const missing = code === "SERVER_OPT_NA" ? "no TLS there, or required and not set here" : code;
    return new NatsRefusedError(`no TLS connection to ${at}: ${message} (${missing})`, options);
  }
  return new Error(`no connection to ${at}: ${message === "" ? code : message}`, options);
}
