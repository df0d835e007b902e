// Verifies access tokens of a Vouchsafe broker: jose, with every check that an API must make.

import { decodeProtectedHeader, errors, importJWK, jwtVerify, type JWK, type JWTPayload } from "jose";
import { InvalidToken, MissingScope } from "./errors.js";
import { Keys } from "./keys.js";

export { InvalidToken, KeysUnavailable, MissingScope } from "./errors.js";

const ALGORITHMS = ["ES256", "EdDSA", "RS256"];
const TOKEN_BYTES_MAX = 16 * 1024;
/** jose would ignore white space. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const LEEWAY_SECONDS = 5;
const TYP = "at+jwt";
const REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti"];

/** What a valid token says. */
export interface Token {
  subject: string;
  scopes: ReadonlySet<string>;
  /** The broker's decision id (`jti`), under which its operator finds why the token was issued. */
  id: string;
  claims: JWTPayload;
}

/** Throws `InvalidToken` unless a key is certified for this issuer. */
export type Certified = (jwk: JWK, issuer: string) => void;

export interface Options {
  /** The broker's URL, compared exactly. */
  issuer: string;
  /** This API's URL, compared exactly. */
  audience: string;
  /** Those that your audience's file may name; ES256 by default. */
  algorithms?: readonly string[];
  /** `pinnedRoot(pem)` of `vouchsafe/root`. */
  certified?: Certified;
  jwksUri?: string;
  leewaySeconds?: number;
}

/** Verifies tokens of one broker for one API. */
export class Verifier {
  readonly #options: Options;
  readonly #algorithms: string[];
  readonly #keys: Keys;

  constructor(options: Options) {
    this.#options = options;
    this.#algorithms = [...(options.algorithms ?? ["ES256"])];
    if (this.#algorithms.length === 0 || !this.#algorithms.every((name) => ALGORITHMS.includes(name))) {
      throw new TypeError(`algorithms must be some of ${ALGORITHMS.join(", ")}`);
    }
    if (typeof options.audience !== "string" || options.audience === "") {
      throw new TypeError("audience must be one text");
    }
    const base = options.issuer.replace(/\/+$/, "");
    this.#keys = new Keys(new URL(options.jwksUri ?? `${base}/.well-known/jwks.json`));
  }

  /** Returns the token's content, or throws `InvalidToken`, `MissingScope` or `KeysUnavailable`. */
  async verify(token: string, scopes: readonly string[] = []): Promise<Token> {
    const claims = await this.#claims(token);
    const granted = new Set(typeof claims.scope === "string" ? claims.scope.split(" ").filter(Boolean) : []);
    for (const scope of scopes) {
      if (!granted.has(scope)) throw new MissingScope(`the scope \`${scope}\` is missing`);
    }
    return { subject: claims.sub as string, scopes: granted, id: claims.jti as string, claims };
  }

  async #claims(token: string): Promise<JWTPayload> {
    // ORDER: the length first, and the header before the key.
    if (typeof token !== "string" || token.length > TOKEN_BYTES_MAX || !COMPACT.test(token)) {
      throw new InvalidToken("malformed, or too long");
    }
    const { alg, kid } = this.#header(token);
    const jwk = await this.#keys.get(kid);
    if (jwk.alg !== alg || jwk.use !== "sig") throw new InvalidToken("the key is not for this algorithm");
    this.#options.certified?.(jwk, this.#options.issuer);
    const key = await importJWK(jwk, alg).catch((error: unknown) => {
      throw new InvalidToken("the key is not for this algorithm", { cause: error });
    });
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: this.#algorithms,
        issuer: this.#options.issuer,
        audience: this.#options.audience,
        requiredClaims: REQUIRED,
        clockTolerance: this.#options.leewaySeconds ?? LEEWAY_SECONDS,
      });
      return this.#exact(payload);
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) {
        throw new InvalidToken(`the token is not valid: ${error.name}`, { cause: error });
      }
      throw error;
    }
  }

  #header(token: string): { alg: string; kid: string } {
    let header;
    try {
      header = decodeProtectedHeader(token);
    } catch (error) {
      throw new InvalidToken("malformed", { cause: error });
    }
    const { alg, crit, kid, typ } = header;
    if (typ !== TYP) throw new InvalidToken("not an access token: `typ` is not at+jwt");
    if (typeof alg !== "string" || !this.#algorithms.includes(alg)) throw new InvalidToken("the algorithm is not allowed");
    if (crit !== undefined || typeof kid !== "string") throw new InvalidToken("the header has `crit`, or no `kid`");
    return { alg, kid };
  }

  /** jose takes a list that contains the audience, and any types of `sub` and `jti`. */
  #exact(payload: JWTPayload): JWTPayload {
    if (payload.aud !== this.#options.audience) throw new InvalidToken("the token is not for this audience alone");
    if (typeof payload.sub !== "string" || typeof payload.jti !== "string") {
      throw new InvalidToken("`sub` or `jti` is not text");
    }
    const latest = Date.now() / 1000 + (this.#options.leewaySeconds ?? LEEWAY_SECONDS);
    if (typeof payload.iat !== "number" || payload.iat > latest) throw new InvalidToken("`iat` is in the future");
    return payload;
  }
}

/** The token in the value of an `Authorization` header. */
export function bearer(header: string | null | undefined): string {
  const [, token] = /^bearer (.+)$/is.exec(header ?? "") ?? [];
  if (token === undefined) throw new InvalidToken("no bearer token");
  return token;
}
