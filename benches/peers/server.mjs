// A peer to compare with: npm `oidc-provider` with an RFC 8693 grant. It verifies an RS256 token, compares two of its
// claims, issues an ES256 token and keeps nothing. Usage: node server.mjs ISSUER AUDIENCE; prints its address.
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const [issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
const { privateKey } = await generateKeyPair('ES256', { extractable: true });

const provider = new Provider('http://127.0.0.1', {
  clients: [
    {
      client_id: 'bench',
      grant_types: [GRANT],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'peer' }] },
  scopes: ['read'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({}),
    },
  },
  extraTokenClaims: (ctx, token) => ({ workload: token.extra?.workload }),
  ttl: { ClientCredentials: 300 },
});

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const verified = await jwtVerify(params.subject_token, keys, { issuer, audience, algorithms: ['RS256'] }).catch(() => {
    throw new errors.InvalidGrant('the subject token does not verify');
  });
  const { payload } = verified;
  if (payload.repository_id !== '123456' || params.scope !== 'read') {
    throw new errors.AccessDenied('denied');
  }
  const token = new provider.ClientCredentials({ client, scope: params.scope, extra: { workload: payload.sub } });
  token.resourceServer = new provider.ResourceServer(params.audience, {
    audience: params.audience,
    scope: 'read',
    accessTokenFormat: 'jwt',
    accessTokenTTL: 300,
    jwt: { sign: { alg: 'ES256' } },
  });
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: token.scope,
  };
}

provider.registerGrantType(GRANT, exchange, ['subject_token', 'subject_token_type', 'audience', 'scope']);
provider.on('server_error', (ctx, error) => console.error(error));

const server = provider.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
