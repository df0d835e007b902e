// The list of what the broker has revoked: a signed document that lives for seconds.

import { base64url, type JWTPayload } from "jose";
import { InvalidToken, RevocationsUnavailable } from "./errors.js";
import { bounded, get, requireHttps } from "./fetch.js";
import type { Signatures } from "./signatures.js";

const DOCUMENT_BYTES_MAX = 1024 * 1024;
/** The algorithms are those of the broker's epoch keys, whatever the algorithm of its tokens. */
const KIND = { typ: "vouchsafe-revocations+jwt", algorithms: ["ES256", "EdDSA"], bytesMax: DOCUMENT_BYTES_MAX };
const REQUIRED = ["iss", "iat", "exp", "began_at", "seq", "rules", "tokens"];
const LIFETIME_SECONDS_MAX = 60;
const POLL_MS = 2_000;
/** Short, because callers wait: the previous list bridges a few failures. */
const TIMEOUT_MS = 1_000;
const CONDITIONS = ["issuer", "subject", "audience", "kid"] as const;

type Shown = Record<(typeof CONDITIONS)[number], string>;
type Rule = Partial<Shown> & { since?: number; until?: number };

interface RevocationList {
  /** Since when the broker knows what is revoked. */
  beganAt: number;
  /** The number of the broker's latest operation. */
  sequence: number;
  expiresAt: number;
  rules: Rule[];
  tokens: ReadonlySet<string>;
}

/** The latest list. Concurrent callers wait for the same fetch. */
export class Revocations {
  #list: RevocationList | undefined;
  #etag: string | undefined;
  #attempted = -Infinity;
  #pending: Promise<void> | undefined;

  constructor(
    private readonly url: URL,
    private readonly signatures: Signatures,
    private readonly leewaySeconds: number,
  ) {
    requireHttps(url);
  }

  /** Throws `InvalidToken` if the token is revoked, `RevocationsUnavailable` without a recent list. */
  async check(claims: JWTPayload, kid: string): Promise<void> {
    if (performance.now() - this.#attempted >= POLL_MS) {
      this.#attempted = performance.now();
      this.#pending = this.#fetch().finally(() => (this.#pending = undefined));
    }
    await this.#pending;
    const list = this.#list;
    if (list === undefined || Date.now() / 1000 >= list.expiresAt + this.leewaySeconds) {
      throw new RevocationsUnavailable("there is no list of revocations that is recent enough");
    }
    if (await revokes(list, claims, kid)) throw new InvalidToken("the token is revoked");
  }

  async #fetch(): Promise<void> {
    try {
      const known: Record<string, string> = this.#etag === undefined ? {} : { "if-none-match": this.#etag };
      const response = await get(this.url, TIMEOUT_MS, known);
      if (response.status === 200) {
        await this.store(await bounded(response, DOCUMENT_BYTES_MAX));
        this.#etag = response.headers.get("etag") ?? undefined;
      } else {
        // 304 too: the list is still the latest one.
        await response.body?.cancel();
      }
    } catch {
      // The previous list stays until it expires.
    }
  }

  /** Takes over a document, or throws if it is not valid or older than the one before. */
  async store(document: string): Promise<void> {
    const { claims } = await this.signatures.verify(document, KIND, { requiredClaims: REQUIRED });
    const list = parse(claims);
    const last = this.#list;
    const isOlder = last && (list.beganAt < last.beganAt || (list.beganAt === last.beganAt && list.sequence < last.sequence));
    if (isOlder) throw new InvalidToken("the list of revocations is older than the one before");
    this.#list = list;
  }
}

function parse(claims: JWTPayload): RevocationList {
  const { iat, exp, began_at: beganAt, seq: sequence, rules, tokens } = claims;
  if (!isNumber(iat) || !isNumber(exp) || !isNumber(beganAt) || !isNumber(sequence)) {
    throw new InvalidToken("a claim of the list of revocations has another type");
  }
  if (exp - iat > LIFETIME_SECONDS_MAX) throw new InvalidToken("the list of revocations is valid for too long");
  if (!Array.isArray(rules) || !rules.every(isRule)) throw new InvalidToken("`rules` has another type");
  if (!Array.isArray(tokens) || !tokens.every((jti) => typeof jti === "string")) {
    throw new InvalidToken("`tokens` has another type");
  }
  return { beganAt, sequence, expiresAt: exp, rules, tokens: new Set(tokens) };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isRule(rule: unknown): rule is Rule {
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) return false;
  const members = new Map(Object.entries(rule));
  return (
    CONDITIONS.every((name) => !members.has(name) || typeof members.get(name) === "string") &&
    ["since", "until"].every((name) => !members.has(name) || isNumber(members.get(name)))
  );
}

/** Whether the token is revoked. One that lacks what a rule could ask for counts as revoked. */
async function revokes(list: RevocationList, claims: JWTPayload, kid: string): Promise<boolean> {
  const { aud, iat, jti, sub } = claims;
  const colon = typeof sub === "string" ? sub.indexOf(":") : -1;
  if (typeof sub !== "string" || colon < 0 || typeof aud !== "string" || typeof jti !== "string" || !isNumber(iat)) {
    return true;
  }
  if (iat < list.beganAt || list.tokens.has(jti)) return true;
  if (list.rules.length === 0) return false;
  const texts = [sub.slice(0, colon), sub.slice(colon + 1), aud, kid];
  const [issuer, subject, audience, key] = (await Promise.all(texts.map(hashed))) as [string, string, string, string];
  return list.rules.some((rule) => matches(rule, { issuer, subject, audience, kid: key }, iat));
}

/** Conditions of a later version are ignored: without them, a rule matches more. */
function matches(rule: Rule, shown: Shown, iat: number): boolean {
  return (
    CONDITIONS.every((name) => rule[name] === undefined || rule[name] === shown[name]) &&
    (rule.since === undefined || rule.since <= iat) &&
    (rule.until === undefined || iat <= rule.until)
  );
}

async function hashed(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return base64url.encode(digest);
}
