// Introspects TOKEN with openid-client and oauth4webapi, unmodified, as a client with the key in KEY (a JWK):
// `node introspect.mjs BROKER CLIENT KEY TOKEN`. Prints both answers, each from a signed response (RFC 9701).

import { readFileSync } from "node:fs";
import { importJWK } from "jose";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";

const [broker, id, file, token] = process.argv.slice(2);
const jwk = JSON.parse(readFileSync(file, "utf8"));
const key = { key: await importJWK(jwk, "ES256"), kid: jwk.kid };
const insecure = { [oauth.allowInsecureRequests]: true };

async function openidClient() {
  const metadata = { introspection_signed_response_alg: "ES256" };
  const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];
  const config = await client.discovery(new URL(broker), id, metadata, client.PrivateKeyJwt(key), {
    execute,
    algorithm: "oauth2",
  });
  return client.tokenIntrospection(config, token);
}

async function oauth4webapi() {
  const issuer = new URL(broker);
  const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: "oauth2" });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const self = { client_id: id, introspection_signed_response_alg: "ES256" };
  const response = await oauth.introspectionRequest(server, self, oauth.PrivateKeyJwt(key), token, insecure);
  const answer = await oauth.processIntrospectionResponse(server, self, response);
  await oauth.validateApplicationLevelSignature(server, response, insecure);
  return answer;
}

console.log(JSON.stringify({ openidClient: await openidClient(), oauth4webapi: await oauth4webapi() }));
