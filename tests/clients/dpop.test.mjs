// Tokens that are bound to a key: openid-client and `dpop` make the proofs, oauth4webapi judges the tokens as an API would;
// all unmodified.

import assert from "node:assert/strict";
import { test } from "node:test";
import { calculateThumbprint, generateKeyPair, generateProof } from "dpop";
import { allowInsecureRequests, validateJwtAccessToken } from "oauth4webapi";
import * as client from "openid-client";

const broker = process.env.VOUCHSAFE_TEST_BROKER;
const devIssuer = process.env.VOUCHSAFE_TEST_DEV_ISSUER;
const api = "https://api.example";
const resource = "https://api.example/items";
const parameters = {
  grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
  subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  audience: api,
  scope: "read",
};

async function mint() {
  const response = await fetch(`${devIssuer}/mint`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ aud: broker }),
  });
  assert.equal(response.status, 200);
  return (await response.json()).token;
}

async function exchange(proofs) {
  const headers = new Headers(proofs.map((proof) => ["DPoP", proof]));
  const body = new URLSearchParams({ ...parameters, subject_token: await mint() });
  const response = await fetch(`${broker}/token`, { method: "POST", headers, body });
  return { status: response.status, ...(await response.json()) };
}

async function metadata() {
  const response = await fetch(`${broker}/.well-known/oauth-authorization-server`);
  return response.json();
}

/// What an API that uses oauth4webapi says of a request.
async function judge(token, proof, scheme = "DPoP") {
  const headers = { authorization: `${scheme} ${token}` };
  const request = new Request(resource, { headers: proof ? { ...headers, dpop: proof } : headers });
  return validateJwtAccessToken(await metadata(), request, api, { [allowInsecureRequests]: true });
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());

for (const alg of ["ES256", "RS256"]) {
  test(`the broker accepts a proof of dpop by ${alg}, and an API accepts the bound token`, async () => {
    const keys = await generateKeyPair(alg);
    const answer = await exchange([await generateProof(keys, `${broker}/token`, "POST")]);
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.equal(answer.token_type, "DPoP");
    const claims = await judge(answer.access_token, await generateProof(keys, resource, "GET", undefined, answer.access_token));
    assert.deepEqual(claims.cnf, { jkt: await calculateThumbprint(keys.publicKey) });
  });
}

test("an API refuses a bound token without its key", async () => {
  const [keys, other] = [await generateKeyPair("ES256"), await generateKeyPair("ES256")];
  const { access_token: token } = await exchange([await generateProof(keys, `${broker}/token`, "POST")]);
  await judge(token, await generateProof(keys, resource, "GET", undefined, token));
  await assert.rejects(judge(token, await generateProof(other, resource, "GET", undefined, token)));
  await assert.rejects(judge(token, undefined, "Bearer"));
});

test("openid-client binds a token to its key", async () => {
  const options = { execute: [client.allowInsecureRequests], algorithm: "oauth2" };
  const config = await client.discovery(new URL(broker), "any-client", {}, client.None(), options);
  const keys = await client.randomDPoPKeyPair("ES256");
  const { grant_type, ...rest } = parameters;
  // Twice, as each request needs a proof of its own.
  const DPoP = client.getDPoPHandle(config, keys);
  for (let request = 0; request < 2; request += 1) {
    const answer = await client.genericGrantRequest(config, grant_type, { ...rest, subject_token: await mint() }, { DPoP });
    assert.equal(answer.token_type, "dpop");
    assert.equal(claimsOf(answer.access_token).cnf.jkt, await calculateThumbprint(keys.publicKey));
  }
});

test("the broker refuses proofs for others, twice, or too many", async () => {
  const keys = await generateKeyPair("ES256");
  const proof = await generateProof(keys, `${broker}/token`, "POST");
  const refused = async (proofs) => {
    const { status, error } = await exchange(proofs);
    assert.deepEqual([status, error], [400, "invalid_dpop_proof"]);
  };
  await refused([await generateProof(keys, `${broker}/introspect`, "POST")]);
  await refused([await generateProof(keys, `${broker}/token`, "GET")]);
  await refused([proof, await generateProof(keys, `${broker}/token`, "POST")]);
  assert.equal((await exchange([proof])).status, 200);
  await refused([proof]);
});
