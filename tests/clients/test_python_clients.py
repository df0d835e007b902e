"""google-auth exchanges and PyJWT verifies, both unmodified."""

import json
import os
import pathlib
import tempfile
import unittest

import google.auth.exceptions
import google.auth.transport.requests
import jwt
import requests
from google.auth import identity_pool
from google.oauth2 import sts, utils

BROKER = os.environ["VOUCHSAFE_TEST_BROKER"]
DEV_ISSUER = os.environ["VOUCHSAFE_TEST_DEV_ISSUER"]
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
API = "https://api.example"
DEPLOY = "https://deploy.example"


def subject_token(**settings):
    answer = requests.post(f"{DEV_ISSUER}/mint", json={"aud": BROKER, **settings}, timeout=10)
    answer.raise_for_status()
    return answer.json()["token"]


def exchange(token, audience=API, scopes=("read",), authentication=None):
    client = sts.Client(f"{BROKER}/token", authentication)
    return client.exchange_token(
        google.auth.transport.requests.Request(), GRANT, token, JWT_TYPE, audience=audience, scopes=list(scopes)
    )


def verify(token, audience=API):
    metadata = requests.get(f"{BROKER}/.well-known/openid-configuration", timeout=10).json()
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    required = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id"]
    return jwt.decode(
        token, key, algorithms=["ES256"], audience=audience, issuer=BROKER, options={"require": required, "strict_aud": True}
    )


class GoogleAuth(unittest.TestCase):
    def refused(self, error, *arguments, **options):
        with self.assertRaises(google.auth.exceptions.OAuthError) as caught:
            exchange(*arguments, **options)
        self.assertEqual(json.loads(caught.exception.args[1])["error"], error)

    def test_exchanges_a_token_that_pyjwt_verifies(self):
        answer = exchange(subject_token())
        self.assertEqual(answer["token_type"], "Bearer")
        claims = verify(answer["access_token"])
        self.assertEqual(claims["sub"], "dev:repo:octo-org/octo-repo:ref:refs/heads/main")
        self.assertEqual(claims["scope"], "read")
        self.assertLessEqual(claims["exp"] - claims["iat"], answer["expires_in"] + 1)
        self.assertEqual(jwt.get_unverified_header(answer["access_token"])["typ"], "at+jwt")

    def test_accepts_client_credentials_in_both_places(self):
        for kind in (utils.ClientAuthType.basic, utils.ClientAuthType.request_body):
            with self.subTest(kind):
                authentication = utils.ClientAuthentication(kind, "some-client", "some-secret")
                verify(exchange(subject_token(), authentication=authentication)["access_token"])

    def test_gets_invalid_target_for_unknown_audience(self):
        self.refused("invalid_target", subject_token(), audience="https://elsewhere.example")

    def test_gets_invalid_scope_for_unknown_scope(self):
        self.refused("invalid_scope", subject_token(), scopes=["admin"])

    def test_gets_invalid_request_for_expired_subject_token(self):
        self.refused("invalid_request", subject_token(expires_in=-3600))

    def test_accepts_single_use_token_once(self):
        token = subject_token()
        verify(exchange(token, DEPLOY, ["deploy:read"])["access_token"], DEPLOY)
        self.refused("invalid_request", token, DEPLOY, ["deploy:read"])

    def test_refreshes_identity_pool_credentials_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "subject-token"
            file.write_text(subject_token())
            credentials = identity_pool.Credentials(
                audience=API, subject_token_type=JWT_TYPE, token_url=f"{BROKER}/token",
                credential_source={"file": str(file)}, scopes=["read", "write"],
            )  # fmt: skip
            credentials.refresh(google.auth.transport.requests.Request())
        self.assertEqual(verify(credentials.token)["scope"].split(), ["read", "write"])


class PyJwt(unittest.TestCase):
    def test_rejects_token_for_another_audience(self):
        token = exchange(subject_token())["access_token"]
        with self.assertRaises(jwt.InvalidAudienceError):
            verify(token, DEPLOY)


if __name__ == "__main__":
    unittest.main()
