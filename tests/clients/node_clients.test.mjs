// openid-client and @actions/core fetch tokens, jose verifies them; all unmodified.

import assert from "node:assert/strict";
import { test } from "node:test";
import { getIDToken } from "@actions/core";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as client from "openid-client";

const broker = process.env.VOUCHSAFE_TEST_BROKER;
const devIssuer = process.env.VOUCHSAFE_TEST_DEV_ISSUER;
const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
const jwtType = "urn:ietf:params:oauth:token-type:jwt";
const api = "https://api.example";

async function mint(settings = {}) {
  const response = await fetch(`${devIssuer}/mint`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ aud: broker, ...settings }),
  });
  assert.equal(response.status, 200);
  return (await response.json()).token;
}

function discover(algorithm) {
  // Stock clients accept plain http only if told to.
  const options = { execute: [client.allowInsecureRequests], algorithm };
  return client.discovery(new URL(broker), "some-client", {}, client.ClientSecretBasic("some-secret"), options);
}

function exchange(config, subjectToken, parameters = {}) {
  return client.genericGrantRequest(config, grant, {
    subject_token: subjectToken,
    subject_token_type: jwtType,
    audience: api,
    scope: "read",
    ...parameters,
  });
}

async function verify(config, token, audience = api) {
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  return jwtVerify(token, keys, {
    issuer: broker,
    audience,
    typ: "at+jwt",
    algorithms: ["ES256"],
    requiredClaims: ["sub", "exp", "nbf", "iat", "jti", "client_id"],
  });
}

for (const algorithm of ["oauth2", "oidc"]) {
  test(`openid-client discovers by ${algorithm} metadata and exchanges a token that jose verifies`, async () => {
    const config = await discover(algorithm);
    const answer = await exchange(config, await mint());
    assert.equal(answer.token_type, "bearer");
    assert.equal(answer.issued_token_type, "urn:ietf:params:oauth:token-type:access_token");
    const { payload } = await verify(config, answer.access_token);
    assert.equal(payload.sub, "dev:repo:octo-org/octo-repo:ref:refs/heads/main");
    assert.equal(payload.scope, "read");
  });
}

test("openid-client reports the error of a refusal", async () => {
  const config = await discover("oauth2");
  const table = [
    [{}, { audience: "https://elsewhere.example" }, "invalid_target"],
    [{}, { scope: "admin" }, "invalid_scope"],
    [{ expires_in: -3600 }, {}, "invalid_request"],
    [{ aud: "https://elsewhere.example" }, {}, "invalid_request"],
  ];
  for (const [settings, parameters, error] of table) {
    await assert.rejects(exchange(config, await mint(settings), parameters), (refusal) => {
      assert.equal(refusal.error, error);
      assert.equal(refusal.status, 400);
      return true;
    });
  }
});

test("jose rejects the token for another audience", async () => {
  const config = await discover("oidc");
  const answer = await exchange(config, await mint());
  await assert.rejects(verify(config, answer.access_token, "https://deploy.example"), { claim: "aud" });
});

test("exchanges a token from @actions/core", async () => {
  process.env.ACTIONS_ID_TOKEN_REQUEST_URL = `${devIssuer}/token?api-version=2.0`;
  process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN = "request-token";
  const config = await discover("oauth2");
  const answer = await exchange(config, await getIDToken(broker));
  await verify(config, answer.access_token);
});

// Sends a token of the broker, which openid-client has no method of its own for.
function bearer(token) {
  return (_server, _client, _body, headers) => headers.set("authorization", `Bearer ${token}`);
}

test("openid-client introspects and revokes tokens", async () => {
  const config = await discover("oauth2");
  const resourceServer = await exchange(config, await mint({ claims: { repository_id: "888" } }), {
    audience: `${broker}/introspect`,
    scope: api,
  });
  const options = { execute: [client.allowInsecureRequests], algorithm: "oauth2" };
  const introspecting = await client.discovery(new URL(broker), "api", {}, bearer(resourceServer.access_token), options);
  const { access_token: token } = await exchange(config, await mint());
  const active = await client.tokenIntrospection(introspecting, token);
  assert.equal(active.active, true);
  assert.equal(active.aud, api);
  assert.equal(active.scope, "read");
  await client.tokenRevocation(config, token, { token_type_hint: "access_token" });
  assert.deepEqual(await client.tokenIntrospection(introspecting, token), { active: false });
  // A token that is unknown needs no revocation.
  await client.tokenRevocation(config, "unknown");
});

test("openid-client is refused introspection without a token of the broker", async () => {
  const config = await discover("oauth2");
  await assert.rejects(client.tokenIntrospection(config, "x"), (refusal) => {
    assert.equal(refusal.status, 401);
    return true;
  });
});
