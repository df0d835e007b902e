// Verifies one token with jose: `node verify.mjs BROKER AUDIENCE ALGORITHM TOKEN`.

import { createRemoteJWKSet, jwtVerify } from "jose";

const [broker, audience, algorithm, token] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${broker}/.well-known/jwks.json`));
const { protectedHeader } = await jwtVerify(token, keys, {
  issuer: broker,
  audience,
  algorithms: [algorithm],
  typ: "at+jwt",
  requiredClaims: ["sub", "exp", "nbf", "iat", "jti", "client_id"],
});
console.log(protectedHeader.kid);
