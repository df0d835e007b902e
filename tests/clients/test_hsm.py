"""PyJWT and jose verify the tokens of a broker with an HSM, in both tiers and every algorithm;
`cryptography` and jose verify the certificates of its epoch keys with the root alone."""

import base64
import datetime
import os
import pathlib
import subprocess
import unittest

import jwt
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

import broker
from test_packages import INVALID, PACKAGES

# Used by broker and gateway unless a test overrides it.
EPOCH_SECONDS = 3600

HERE = pathlib.Path(__file__).resolve().parent
GATEWAY = broker.REPO / "target/debug/hsm-gateway"
MODULE = os.environ.get("VOUCHSAFE_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
# Audience name: tier and algorithm.
AUDIENCES = {
    "delegated-es256": ("delegated", "ES256"),
    "delegated-eddsa": ("delegated", "EdDSA"),
    "hsm-es256": ("hsm", "ES256"),
    "hsm-eddsa": ("hsm", "EdDSA"),
    "hsm-rs256": ("hsm", "RS256"),
}


def url(name):
    return f"https://{name}.example"


def leaf_of(jwk):
    """The certificate in `x5c`, which is base64 and not base64url (RFC 7517 section 4.7)."""
    (certificate,) = jwk["x5c"]
    return x509.load_der_x509_certificate(base64.b64decode(certificate, validate=True))


def path_verifier(root, time):
    """Builds paths to the root under the library's default rules for client certificates."""
    builder = verification.PolicyBuilder().store(verification.Store([root])).time(time)
    return builder.max_chain_depth(0).build_client_verifier()


class Hsm:
    """A PKCS#11 token in its own folder, with the keys of a gateway."""

    def __init__(self, folder, issuer):
        self.folder = folder
        (folder / "tokens").mkdir(parents=True)
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
        (folder / "pin").touch(mode=0o600)
        (folder / "pin").write_text("1234")
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        self.call("softhsm2-util", "--init-token", "--free", "--label", "clients", "--so-pin", "0000", "--pin", "1234")
        sha256 = self.call(GATEWAY, "credential", "--out", "gateway-token").strip()
        self.port = broker.free_port()
        (folder / "gateway.toml").write_text(self.config(issuer, sha256))
        self.call(GATEWAY, "init")
        self.root = x509.load_pem_x509_certificate(self.call(GATEWAY, "root-certificate").encode())

    def config(self, issuer, sha256):
        keys = [
            f'[[key]]\nname = "{name}"\ngroup = "default"\nalgorithm = "{algorithm}"\naudiences = ["{url(name)}"]\n'
            "lifetime_max = 900\nrequests_per_second = 100\nrequests_per_day = 1000\n"
            for name, (tier, algorithm) in AUDIENCES.items()
            if tier == "hsm"
        ]
        return (
            f'listen = "127.0.0.1:{self.port}"\nstate_dir = "state"\ndevelopment = true\n'
            f'[module]\npath = "{MODULE}"\ntoken = "clients"\npin_file = "pin"\n'
            f'[[group]]\nname = "default"\nissuer = "{issuer}"\nalgorithms = ["ES256", "EdDSA"]\nepoch_seconds = {EPOCH_SECONDS}\n'
            f'[[credential]]\nname = "broker"\n{sha256}\ngroups = ["default"]\n' + "".join(keys)
        )

    def call(self, program, *arguments):
        done = subprocess.run(
            [program, *arguments], cwd=self.folder, env=self.environment, check=False, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout


class HsmSetup(broker.Setup):
    manifest = "spin.hsm.toml"
    hsm_type = Hsm

    def prepare(self, policies, issuer):
        self.hsm = self.hsm_type(self.folder / "hsm", issuer)
        self.gateway_url = f"http://127.0.0.1:{self.hsm.port}"
        self.gateway = self.start_gateway()
        manifest = self.folder / "spin.toml"
        text = manifest.read_text()
        assert "http://127.0.0.1:8480" in text
        manifest.write_text(text.replace("http://127.0.0.1:8480", self.gateway_url))
        rules = []
        for name, (tier, algorithm) in AUDIENCES.items():
            audience = f'id = "{url(name)}"\ntier = "{tier}"\nalgorithm = "{algorithm}"\n'
            (policies / f"audiences/{name}.toml").write_text(audience)
            rules.append(
                f'@id("dev-{name}")\npermit (principal is GitHub::Workflow in Issuer::"dev", action == Action::"issue",'
                f' resource == Audience::"{url(name)}") when {{ principal.repository_id == "123456" && context.scopes.isEmpty() }};\n'
            )
        (policies / "rules/hsm.cedar").write_text("\n".join(rules))

    def start_gateway(self):
        log = self.folder / "hsm-gateway.log"
        self.processes.append(broker.Process(["serve"], log, self.hsm.folder, GATEWAY, self.hsm.environment))
        return self.processes[-1]

    def variables(self):
        return {
            "gateway_urls": self.gateway_url,
            "gateway_token": f"@{self.hsm.folder}/gateway-token",
            "signer_hsm_algorithms": "ES256 EdDSA RS256",
        }


class BothTiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = HsmSetup()
        cls.setup.__enter__()
        cls.addClassCleanup(cls.setup.__exit__)

    def issued(self, audience):
        url_of_broker = self.setup.broker
        subject = requests.post(f"{self.setup.dev_issuer}/mint", json={"aud": url_of_broker}, timeout=10).json()["token"]
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": subject,
            "audience": audience,
        }
        answer = requests.post(f"{url_of_broker}/token", data=form, timeout=30)
        self.assertEqual(answer.status_code, 200, answer.text + self.setup.logs())
        return answer.json()["access_token"]

    def test_verifies_every_algorithm_with_pyjwt_and_jose(self):
        keys = jwt.PyJWKClient(f"{self.setup.broker}/.well-known/jwks.json")
        for name, (_, algorithm) in AUDIENCES.items():
            with self.subTest(name):
                token = self.issued(url(name))
                key = keys.get_signing_key_from_jwt(token)
                claims = jwt.decode(token, key, algorithms=[algorithm], audience=url(name), issuer=self.setup.broker)
                self.assertEqual(claims["sub"], "dev:repo:octo-org/octo-repo:ref:refs/heads/main")
                node = os.environ.get("VOUCHSAFE_TEST_NODE", "node")
                verify = [node, "verify.mjs", self.setup.broker, url(name), algorithm, token]
                jose = subprocess.run(verify, cwd=HERE, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
                self.assertEqual(jose.stdout.strip(), key.key_id)

    def jwks(self):
        return requests.get(f"{self.setup.broker}/.well-known/jwks.json", timeout=10).json()["keys"]

    def certified(self):
        keys = [jwk for jwk in self.jwks() if "x5c" in jwk]
        # Two generations, four epochs, two algorithms; keys of tier `hsm` have none.
        self.assertEqual(len(keys), 16)
        return keys

    def test_builds_path_from_each_certificate_to_root(self):
        root = self.setup.hsm.root
        second = datetime.timedelta(seconds=1)
        for jwk in self.certified():
            leaf = leaf_of(jwk)
            with self.subTest(leaf.subject.rfc4514_string()):
                first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
                for time in (first, last):
                    found = path_verifier(root, time).verify(leaf, [])
                    self.assertEqual(found.chain, [leaf, root])
                    self.assertEqual([name.value for name in found.subjects], [self.setup.broker])
                for time in (first - second, last + second):
                    with self.assertRaises(verification.VerificationError):
                        path_verifier(root, time).verify(leaf, [])
                self.assertEqual(last - first, datetime.timedelta(seconds=4 * EPOCH_SECONDS))

    def test_matches_certificate_profile_of_pinning_md(self):
        root = self.setup.hsm.root
        self.assertIsInstance(root.public_key().curve, ec.SECP256R1)
        self.assertEqual(root.not_valid_after_utc.year, 9999)
        serials = set()
        for jwk in self.certified():
            leaf = leaf_of(jwk)
            with self.subTest(leaf.subject.rfc4514_string()):
                self.assertEqual(leaf.issuer, root.subject)
                self.assertIsInstance(leaf.signature_hash_algorithm, hashes.SHA256)
                root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
                with self.assertRaises(InvalidSignature):
                    root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes + b"x", ec.ECDSA(hashes.SHA256()))
                of_the_jwk = jwt.PyJWK(jwk).key
                self.assertEqual(leaf.public_key(), of_the_jwk)
                usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
                self.assertTrue(usage.critical and usage.value.digital_signature)
                self.assertFalse(usage.value.key_cert_sign or usage.value.crl_sign or usage.value.content_commitment)
                constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
                self.assertTrue(constraints.critical and not constraints.value.ca)
                names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                self.assertEqual(names.get_values_for_type(x509.UniformResourceIdentifier), [self.setup.broker])
                self.assertEqual(len(list(names)), 1)
                self.assertLessEqual(leaf.serial_number.bit_length(), 20 * 8 - 1)
                serials.add(leaf.serial_number)
        self.assertEqual(len(serials), 16)

    def test_verifies_token_with_certified_key(self):
        root = self.setup.hsm.root
        for name, (tier, algorithm) in AUDIENCES.items():
            with self.subTest(name):
                token = self.issued(url(name))
                kid = jwt.get_unverified_header(token)["kid"]
                (jwk,) = [jwk for jwk in self.jwks() if jwk["kid"] == kid]
                if tier == "hsm":
                    self.assertNotIn("x5c", jwk)
                    continue
                leaf = leaf_of(jwk)
                path_verifier(root, datetime.datetime.now(datetime.timezone.utc)).verify(leaf, [])
                options = {"algorithms": [algorithm], "audience": url(name), "issuer": self.setup.broker}
                jwt.decode(token, leaf.public_key(), **options)
                others = [leaf_of(other) for other in self.certified() if other["kid"] != kid and other["alg"] == algorithm]
                for other in others:
                    with self.assertRaises(jwt.InvalidSignatureError):
                        jwt.decode(token, other.public_key(), **options)
                self.assertEqual(len(others), 7)
                # jose extracts the key from the certificate.
                node = os.environ.get("VOUCHSAFE_TEST_NODE", "node")
                verify = [node, "verify_x5c.mjs", self.setup.broker, url(name), algorithm, jwk["x5c"][0], token]
                jose = subprocess.run(verify, cwd=HERE, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
                self.assertEqual(jose.stdout.strip(), kid)

    def test_packages_accept_certified_keys_only(self):
        root = self.setup.hsm.root.public_bytes(serialization.Encoding.PEM).decode()
        stranger = Hsm(self.setup.folder / "another", self.setup.broker).root.public_bytes(serialization.Encoding.PEM).decode()
        for name, (tier, algorithm) in AUDIENCES.items():
            token = self.issued(url(name))
            options = {"issuer": self.setup.broker, "audience": url(name), "algorithms": [algorithm]}
            subject = "dev:repo:octo-org/octo-repo:ref:refs/heads/main"
            for package, verify in PACKAGES.items():
                for pinned, expected in [(None, subject), (root, subject if tier == "delegated" else INVALID), (stranger, INVALID)]:
                    with self.subTest(f"{package} {name} {expected}"):
                        self.assertEqual(verify(options, [token], scopes=(), root=pinned), [expected])

    def test_builds_no_path_to_another_root(self):
        ours, stranger = self.setup.hsm.root, Hsm(self.setup.folder / "stranger", self.setup.broker).root
        for jwk in self.certified():
            leaf = leaf_of(jwk)
            # Roots are backdated by a day, and this one was made just now.
            time = max(leaf.not_valid_before_utc, stranger.not_valid_before_utc)
            self.assertEqual(path_verifier(ours, time).verify(leaf, []).chain, [leaf, ours])
            with self.assertRaises(verification.VerificationError):
                path_verifier(stranger, time).verify(leaf, [])


if __name__ == "__main__":
    unittest.main()
