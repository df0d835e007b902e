// Token Status Lists (draft-ietf-oauth-status-list): a signed document with one bit for each of many tokens.

import { base64url, type JWTPayload } from "jose";
import { InvalidToken, RevocationsUnavailable } from "./errors.js";
import { bounded, get, requireHttps } from "./fetch.js";
import type { Signatures } from "./signatures.js";

const DOCUMENT_BYTES_MAX = 64 * 1024;
const INFLATED_BYTES_MAX = 1024 * 1024;
/** The algorithms are those of the broker's epoch keys, whatever the algorithm of its tokens. */
const KIND = { typ: "statuslist+jwt", algorithms: ["ES256", "EdDSA"], bytesMax: DOCUMENT_BYTES_MAX };
const REQUIRED = ["iss", "sub", "iat", "exp", "status_list"];
const LIFETIME_SECONDS_MAX = 60;
const POLL_MS = 2_000;
/** Short, because callers wait: the previous list bridges a few failures. */
const TIMEOUT_MS = 1_000;
/** A broker fills one list after the other. */
const LISTS_MAX = 64;

interface StatusList {
  issuedAt: number;
  expiresAt: number;
  bits: number;
  statuses: Uint8Array;
}

/** The latest list at one URL. Concurrent callers wait for the same fetch. */
interface Followed {
  list: StatusList | undefined;
  etag: string | undefined;
  attempted: number;
  pending: Promise<void> | undefined;
}

/** The latest lists of one broker. */
export class StatusLists {
  readonly #followed = new Map<string, Followed>();
  readonly #prefix: string;

  constructor(
    base: string,
    private readonly signatures: Signatures,
    private readonly leewaySeconds: number,
  ) {
    this.#prefix = `${base}/status/`;
    requireHttps(new URL(this.#prefix));
  }

  /** Throws `InvalidToken` if the token is revoked or names no list, `RevocationsUnavailable` without a recent list. */
  async check(claims: JWTPayload): Promise<void> {
    const { uri, index } = this.#reference(claims);
    const followed = this.#follow(uri);
    if (performance.now() - followed.attempted >= POLL_MS) {
      followed.attempted = performance.now();
      followed.pending = this.#fetch(uri, followed).finally(() => (followed.pending = undefined));
    }
    await followed.pending;
    const list = followed.list;
    if (list === undefined || Date.now() / 1000 >= list.expiresAt + this.leewaySeconds) {
      throw new RevocationsUnavailable("there is no status list that is recent enough");
    }
    const status = statusAt(list, index);
    if (status === undefined) throw new RevocationsUnavailable("the status list has no such index");
    if (status !== 0) throw new InvalidToken("the token is revoked");
  }

  /** Where the status is. Only lists of the broker itself count, so nothing in a token has another server asked. */
  #reference(claims: JWTPayload): { uri: string; index: number } {
    const reference = member(member(claims, "status"), "status_list");
    const [uri, index] = [member(reference, "uri"), member(reference, "idx")];
    const isUri = typeof uri === "string" && uri.startsWith(this.#prefix) && /^[0-9-]+$/.test(uri.slice(this.#prefix.length));
    if (!isUri || !isNumber(index)) throw new InvalidToken("the token names no status list of its issuer");
    return { uri, index };
  }

  #follow(uri: string): Followed {
    const known = this.#followed.get(uri);
    if (known !== undefined) return known;
    if (this.#followed.size >= LISTS_MAX) {
      const [oldest] = [...this.#followed].sort(([, a], [, b]) => a.attempted - b.attempted);
      if (oldest !== undefined) this.#followed.delete(oldest[0]);
    }
    const followed = { list: undefined, etag: undefined, attempted: -Infinity, pending: undefined };
    this.#followed.set(uri, followed);
    return followed;
  }

  async #fetch(uri: string, followed: Followed): Promise<void> {
    try {
      const headers: Record<string, string> = { accept: `application/${KIND.typ}` };
      if (followed.etag !== undefined) headers["if-none-match"] = followed.etag;
      const response = await get(new URL(uri), TIMEOUT_MS, headers);
      if (response.status === 200) {
        await this.store(uri, await bounded(response, DOCUMENT_BYTES_MAX));
        followed.etag = response.headers.get("etag") ?? undefined;
      } else {
        // 304 too: the list is still the latest one.
        await response.body?.cancel();
      }
    } catch {
      // The previous list stays until it expires.
    }
  }

  /** Takes over a document, or throws if it is not valid or older than the one before. */
  async store(uri: string, document: string): Promise<void> {
    const { claims } = await this.signatures.verify(document, KIND, { requiredClaims: REQUIRED });
    const list = await parse(claims, uri);
    const followed = this.#follow(uri);
    if (followed.list !== undefined && list.issuedAt < followed.list.issuedAt) {
      throw new InvalidToken("the status list is older than the one before");
    }
    followed.list = list;
  }
}

async function parse(claims: JWTPayload, uri: string): Promise<StatusList> {
  const { sub, iat, exp } = claims;
  if (sub !== uri) throw new InvalidToken("the status list is of another URL");
  if (!isNumber(iat) || !isNumber(exp)) throw new InvalidToken("a claim of the status list has another type");
  if (exp - iat > LIFETIME_SECONDS_MAX) throw new InvalidToken("the status list is valid for too long");
  const [bits, lst] = [member(claims["status_list"], "bits"), member(claims["status_list"], "lst")];
  if (!isNumber(bits) || ![1, 2, 4, 8].includes(bits)) throw new InvalidToken("`bits` is missing or invalid");
  if (typeof lst !== "string") throw new InvalidToken("`lst` is missing or invalid");
  return { issuedAt: iat, expiresAt: exp, bits, statuses: await inflate(lst) };
}

/** The status at `index`; the first one is in the lowest bits of a byte. */
export function statusAt(list: Pick<StatusList, "bits" | "statuses">, index: number): number | undefined {
  const bit = index * list.bits;
  const byte = list.statuses[Math.floor(bit / 8)];
  return byte === undefined ? undefined : (byte >> (bit % 8)) & ((1 << list.bits) - 1);
}

/** The bytes of `lst`. However well they are compressed, they take no more memory than `INFLATED_BYTES_MAX`. */
export async function inflate(lst: string): Promise<Uint8Array> {
  try {
    const inflated = new Uint8Array(INFLATED_BYTES_MAX);
    let length = 0;
    // "deflate" is the format of zlib.
    const stream = new Blob([new Uint8Array(base64url.decode(lst))]).stream().pipeThrough(new DecompressionStream("deflate"));
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      if (length + chunk.byteLength > INFLATED_BYTES_MAX) throw new RangeError("too long");
      inflated.set(chunk, length);
      length += chunk.byteLength;
    }
    return inflated.slice(0, length);
  } catch {
    throw new InvalidToken("`lst` is not a zlib stream, or inflates to more than 1 MiB");
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
