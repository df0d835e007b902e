// Verifies access tokens of a Vouchsafe broker: jose, with every check that an API must make.

import type { JWTPayload } from "jose";
import { InvalidToken, MissingScope } from "./errors.js";
import { Keys } from "./keys.js";
import { Revocations } from "./revocations.js";
import { Signatures, type Certified } from "./signatures.js";
import { StatusLists } from "./status.js";

export { InvalidToken, KeysUnavailable, MissingScope, RevocationsUnavailable } from "./errors.js";
export type { Certified } from "./signatures.js";

const ALGORITHMS = ["ES256", "EdDSA", "RS256"];
const TOKEN_BYTES_MAX = 16 * 1024;
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
  /** Whether to refuse tokens that the broker has revoked, and all tokens without a recent list; or the URL of the list. */
  revocations?: boolean | string;
  /** Whether to check the status list of each token: the audience must have them. Tokens without a status are refused. */
  statusLists?: boolean;
}

/** Verifies tokens of one broker for one API. */
export class Verifier {
  readonly #options: Options;
  readonly #algorithms: string[];
  readonly #signatures: Signatures;
  readonly #revocations: Revocations | undefined;
  readonly #statusLists: StatusLists | undefined;

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
    const leewaySeconds = options.leewaySeconds ?? LEEWAY_SECONDS;
    const keys = new Keys(new URL(options.jwksUri ?? `${base}/.well-known/jwks.json`));
    this.#signatures = new Signatures(options.issuer, keys, options.certified, leewaySeconds);
    if (options.revocations) {
      const url = new URL(typeof options.revocations === "string" ? options.revocations : `${base}/revocations`);
      this.#revocations = new Revocations(url, this.#signatures, leewaySeconds);
    }
    if (options.statusLists) this.#statusLists = new StatusLists(base, this.#signatures, leewaySeconds);
  }

  /** Returns the token's content, or throws `InvalidToken`, `MissingScope`, `KeysUnavailable` or `RevocationsUnavailable`. */
  async verify(token: string, scopes: readonly string[] = []): Promise<Token> {
    const kind = { typ: TYP, algorithms: this.#algorithms, bytesMax: TOKEN_BYTES_MAX };
    const expected = { audience: this.#options.audience, requiredClaims: REQUIRED };
    const { claims, kid } = await this.#signatures.verify(token, kind, expected);
    this.#requireExact(claims);
    await this.#revocations?.check(claims, kid);
    await this.#statusLists?.check(claims);
    const granted = new Set(typeof claims.scope === "string" ? claims.scope.split(" ").filter(Boolean) : []);
    for (const scope of scopes) {
      if (!granted.has(scope)) throw new MissingScope(`the scope \`${scope}\` is missing`);
    }
    return { subject: claims.sub as string, scopes: granted, id: claims.jti as string, claims };
  }

  /** jose takes a list that contains the audience, and any types of `sub` and `jti`. */
  #requireExact(claims: JWTPayload): void {
    if (claims.aud !== this.#options.audience) throw new InvalidToken("the token is not for this audience alone");
    if (typeof claims.sub !== "string" || typeof claims.jti !== "string") {
      throw new InvalidToken("`sub` or `jti` is not text");
    }
  }
}

/** The token in the value of an `Authorization` header. */
export function bearer(header: string | null | undefined): string {
  const [, token] = /^bearer (.+)$/is.exec(header ?? "") ?? [];
  if (token === undefined) throw new InvalidToken("no bearer token");
  return token;
}
