// Certificates of keys, by the root that the verifier has pinned. Needs Node.js.

import { X509Certificate, createPublicKey, type JsonWebKey } from "node:crypto";
import type { JWK } from "jose";
import { InvalidToken } from "./errors.js";
import type { Certified } from "./signatures.js";

/** Accepts only keys that this root (PEM) has certified for the issuer. */
export function pinnedRoot(pem: string | Uint8Array): Certified {
  const root = new X509Certificate(pem);
  if (!root.ca) throw new TypeError("the root certificate does not belong to an authority");
  return (jwk, issuer) => {
    let certified;
    try {
      certified = certifies(root, jwk, issuer, Date.now());
    } catch (error) {
      throw new InvalidToken("the pinned root does not certify the key of this token", { cause: error });
    }
    if (!certified) throw new InvalidToken("the pinned root does not certify the key of this token");
  };
}

/** Node shows no key usage. A certificate that is not an authority's, and for no extended usage, is for signatures. */
function certifies(root: X509Certificate, jwk: JWK, issuer: string, now: number): boolean {
  const encoded = jwk.x5c?.[0];
  if (encoded === undefined) return false;
  const leaf = new X509Certificate(Buffer.from(encoded, "base64"));
  const key = createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
  return (
    leaf.checkIssued(root) &&
    leaf.verify(root.publicKey) &&
    Date.parse(leaf.validFrom) <= now &&
    now <= Date.parse(leaf.validTo) &&
    !leaf.ca &&
    leaf.keyUsage === undefined &&
    // One name, since Node separates several by commas.
    leaf.subjectAltName === `URI:${issuer}` &&
    leaf.publicKey.equals(key)
  );
}
