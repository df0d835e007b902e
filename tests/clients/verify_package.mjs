// Verifies tokens with clients/typescript: reads {options, root, tokens, scopes} as JSON from standard input, and prints
// for each token its subject or the name of the error.

import { text } from "node:stream/consumers";
import { Verifier } from "../../clients/typescript/dist/index.js";
import { pinnedRoot } from "../../clients/typescript/dist/root.js";

const { options, root, tokens, scopes } = JSON.parse(await text(process.stdin));
const verifier = new Verifier({ ...options, ...(root ? { certified: pinnedRoot(root) } : {}) });
const results = [];
for (const token of tokens) {
  results.push(await verifier.verify(token, scopes).then((it) => it.subject, (error) => error.name));
}
console.log(JSON.stringify(results));
