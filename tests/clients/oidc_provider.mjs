// An OIDC provider (npm oidc-provider) with the public client `vouchsafe`, whose only account is `security@example.org`:
// `node oidc_provider.mjs PORT`. Its built-in pages for development take any password.

import Provider from "oidc-provider";

const [port] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "vouchsafe",
      application_type: "native",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code"],
      response_types: ["code"],
      // RFC 8252 §7.3: the provider takes any port of a loopback address.
      redirect_uris: ["http://127.0.0.1/callback"],
    },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  pkce: { required: () => true },
  // The ID tokens of the broker's default algorithms.
  enabledJWA: { idTokenSigningAlgValues: ["RS256"] },
});
const server = provider.listen(Number(port), "127.0.0.1", () => console.log(`listening on ${issuer}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
