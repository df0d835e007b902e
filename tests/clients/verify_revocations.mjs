// Lets clients/typescript check documents and tokens: reads {options, documents, token} as JSON from standard input, stores
// the documents one after the other, and prints for each whether it was accepted, and then what the check of the token says.

import { text } from "node:stream/consumers";
import { Keys } from "../../clients/typescript/dist/keys.js";
import { Revocations } from "../../clients/typescript/dist/revocations.js";
import { Signatures } from "../../clients/typescript/dist/signatures.js";

const isInvalid = (error) => {
  if (error.name !== "InvalidToken") throw error;
  return false;
};
const results = [];
for (const { issuer, jwksUri, documents, claims, kid } of JSON.parse(await text(process.stdin))) {
  const signatures = new Signatures(issuer, new Keys(new URL(jwksUri)), undefined, 5);
  // Nobody listens there: only `store` brings lists.
  const revocations = new Revocations(new URL("http://127.0.0.1:9/revocations"), signatures, 5);
  const accepted = [];
  for (const document of documents) {
    accepted.push(await revocations.store(document).then(() => true, isInvalid));
  }
  const checked = claims === undefined ? null : await revocations.check(claims, kid).then(() => "valid", (error) => error.name);
  results.push({ accepted, checked });
}
console.log(JSON.stringify(results));
