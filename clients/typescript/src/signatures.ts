// Whether a JWT of the broker has a valid signature.

import { decodeProtectedHeader, errors, importJWK, jwtVerify, type JWK, type JWTPayload, type JWTVerifyOptions } from "jose";
import { InvalidToken } from "./errors.js";
import type { Keys } from "./keys.js";

/** jose would ignore white space. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Throws `InvalidToken` unless a key is certified for this issuer. */
export type Certified = (jwk: JWK, issuer: string) => void;

/** One type of JWT. */
export interface Kind {
  typ: string;
  algorithms: string[];
  bytesMax: number;
}

export interface Verified {
  claims: JWTPayload;
  kid: string;
}

/** Verifies JWTs with the broker's keys, which must be certified if there is a root. */
export class Signatures {
  constructor(
    private readonly issuer: string,
    private readonly keys: Keys,
    private readonly certified: Certified | undefined,
    private readonly leewaySeconds: number,
  ) {}

  /** Throws `InvalidToken` or `KeysUnavailable`. */
  async verify(token: string, kind: Kind, options: JWTVerifyOptions): Promise<Verified> {
    // ORDER: the length first, and the header before the key.
    if (typeof token !== "string" || token.length > kind.bytesMax || !COMPACT.test(token)) {
      throw new InvalidToken("malformed, or too long");
    }
    const { alg, kid } = header(token, kind);
    const jwk = await this.keys.get(kid);
    if (jwk.alg !== alg || jwk.use !== "sig") throw new InvalidToken("the key is not for this algorithm");
    this.certified?.(jwk, this.issuer);
    const key = await importJWK(jwk, alg).catch((error: unknown) => {
      throw new InvalidToken("the key is not for this algorithm", { cause: error });
    });
    try {
      const { payload: claims } = await jwtVerify(token, key, {
        algorithms: kind.algorithms,
        issuer: this.issuer,
        clockTolerance: this.leewaySeconds,
        ...options,
      });
      // jose doesn't compare `iat` with the clock.
      const latest = Date.now() / 1000 + this.leewaySeconds;
      if (typeof claims.iat !== "number" || claims.iat > latest) throw new InvalidToken("`iat` is in the future");
      return { claims, kid };
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) {
        throw new InvalidToken(`the token is not valid: ${error.name}`, { cause: error });
      }
      throw error;
    }
  }
}

function header(token: string, kind: Kind): { alg: string; kid: string } {
  let header;
  try {
    header = decodeProtectedHeader(token);
  } catch (error) {
    throw new InvalidToken("malformed", { cause: error });
  }
  const { alg, crit, kid, typ } = header;
  if (typ !== kind.typ) throw new InvalidToken(`\`typ\` is not ${kind.typ}`);
  if (typeof alg !== "string" || !kind.algorithms.includes(alg)) throw new InvalidToken("the algorithm is not allowed");
  if (crit !== undefined || typeof kid !== "string") throw new InvalidToken("the header has `crit`, or no `kid`");
  return { alg, kid };
}
