// Lets clients/typescript check status lists and tokens: reads {issuer, jwksUri, uri, documents, claims} as JSON from standard
// input, stores the documents one after the other, and prints for each whether it was accepted, and then what the check of
// the claims says.

import { text } from "node:stream/consumers";
import { Keys } from "../../clients/typescript/dist/keys.js";
import { Signatures } from "../../clients/typescript/dist/signatures.js";
import { StatusLists } from "../../clients/typescript/dist/status.js";

const isInvalid = (error) => {
  if (error.name !== "InvalidToken") throw error;
  return false;
};
const results = [];
for (const { issuer, jwksUri, uri, documents, claims } of JSON.parse(await text(process.stdin))) {
  const signatures = new Signatures(issuer, new Keys(new URL(jwksUri)), undefined, 5);
  // Nobody listens at the issuer's URL: only `store` brings lists.
  const lists = new StatusLists(issuer, signatures, 5);
  const accepted = [];
  for (const document of documents) {
    accepted.push(await lists.store(uri, document).then(() => true, isInvalid));
  }
  const checked = await lists.check(claims).then(() => "valid", (error) => error.name);
  results.push({ accepted, checked });
}
console.log(JSON.stringify(results));
