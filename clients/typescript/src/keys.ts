// The broker's JWK Set, fetched as rarely as its operator expects.

import type { JWK } from "jose";
import { InvalidToken, KeysUnavailable } from "./errors.js";
import { bounded, get, requireHttps } from "./fetch.js";

/** How long a set is used, as its `cache-control` says. */
const FRESH_MS = 300_000;
/** How long after its fetch a set is used while the broker can't be reached. */
const STALE_MS_MAX = 3_600_000;
/** Strangers can send any `kid`, so each can't cause a fetch. */
const ATTEMPT_MS_MIN = 10_000;
const SET_BYTES_MAX = 256 * 1024;
const TIMEOUT_MS = 10_000;

/** Keys by `kid`. Concurrent callers wait for the same fetch. */
export class Keys {
  #keys: Map<string, JWK> | undefined;
  #fetched = -Infinity;
  #attempted = -Infinity;
  #pending: Promise<void> | undefined;

  constructor(private readonly url: URL) {
    requireHttps(url);
  }

  async get(kid: string): Promise<JWK> {
    if (performance.now() - this.#fetched >= FRESH_MS) await this.#fetchOnce();
    if (this.#keys !== undefined && !this.#keys.has(kid)) await this.#fetchOnce();
    if (this.#keys === undefined || performance.now() - this.#fetched >= STALE_MS_MAX) {
      throw new KeysUnavailable("the broker's keys cannot be fetched");
    }
    const key = this.#keys.get(kid);
    if (key === undefined) throw new InvalidToken("the broker has no key with this kid");
    return key;
  }

  async #fetchOnce(): Promise<void> {
    this.#pending ??= this.#fetch().finally(() => (this.#pending = undefined));
    await this.#pending;
  }

  async #fetch(): Promise<void> {
    const now = performance.now();
    if (now - this.#attempted < ATTEMPT_MS_MIN) return;
    this.#attempted = now;
    try {
      const response = await get(this.url, TIMEOUT_MS, { accept: "application/json" });
      if (response.status !== 200) throw new Error("not a key set");
      this.#keys = parse(await bounded(response, SET_BYTES_MAX));
      this.#fetched = now;
    } catch {
      // The previous set stays for a while.
    }
  }
}

/** A set with two keys of one `kid` is invalid: which one counts must not be a matter of chance. */
function parse(text: string): Map<string, JWK> {
  const set: unknown = JSON.parse(text);
  const keys = new Map<string, JWK>();
  for (const jwk of (set as { keys: Iterable<JWK> }).keys) {
    if (typeof jwk.kid !== "string" || keys.has(jwk.kid)) throw new Error("invalid key set");
    keys.set(jwk.kid, jwk);
  }
  return keys;
}
