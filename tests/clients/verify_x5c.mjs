// Verifies one token with jose, using the key of a certificate instead of a JWK Set:
// `node verify_x5c.mjs ISSUER AUDIENCE ALGORITHM CERTIFICATE TOKEN`, with the certificate encoded as in `x5c`.

import { importX509, jwtVerify } from "jose";

const [issuer, audience, algorithm, certificate, token] = process.argv.slice(2);
const pem = `-----BEGIN CERTIFICATE-----\n${certificate.replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
const key = await importX509(pem, algorithm);
const { protectedHeader } = await jwtVerify(token, key, { issuer, audience, algorithms: [algorithm], typ: "at+jwt" });
console.log(protectedHeader.kid);
