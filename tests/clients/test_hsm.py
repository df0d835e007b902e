"""PyJWT and jose verify what a broker with an HSM behind it issues, in both tiers and each algorithm."""

import os
import pathlib
import subprocess
import unittest

import jwt
import requests

import broker

HERE = pathlib.Path(__file__).resolve().parent
GATEWAY = broker.REPO / "target/debug/hsm-gateway"
MODULE = os.environ.get("VOUCHSAFE_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
# By the name of the audience: its tier and its algorithm.
AUDIENCES = {
    "delegated-es256": ("delegated", "ES256"),
    "delegated-eddsa": ("delegated", "EdDSA"),
    "hsm-es256": ("hsm", "ES256"),
    "hsm-eddsa": ("hsm", "EdDSA"),
    "hsm-rs256": ("hsm", "RS256"),
}


def url(name):
    return f"https://{name}.example"


class HsmSetup(broker.Setup):
    manifest = "spin.hsm.toml"

    def prepare(self, policies, issuer):
        self.hsm = self.folder / "hsm"
        (self.hsm / "tokens").mkdir(parents=True)
        (self.hsm / "softhsm2.conf").write_text(f"directories.tokendir = {self.hsm}/tokens\n")
        (self.hsm / "pin").write_text("1234")
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(self.hsm / "softhsm2.conf")}
        self.call("softhsm2-util", "--init-token", "--free", "--label", "clients", "--so-pin", "0000", "--pin", "1234")
        sha256 = self.call(GATEWAY, "credential", "--out", "gateway-token").strip()
        port = broker.free_port()
        self.gateway_url = f"http://127.0.0.1:{port}"
        (self.hsm / "gateway.toml").write_text(self.config(port, issuer, sha256))
        self.call(GATEWAY, "init")
        log = self.folder / "hsm-gateway.log"
        self.processes.append(broker.Process(["serve"], log, self.hsm, GATEWAY, self.environment))
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

    def config(self, port, issuer, sha256):
        keys = [
            f'[[key]]\nname = "{name}"\ngroup = "default"\nalgorithm = "{algorithm}"\naudiences = ["{url(name)}"]\n'
            "lifetime_max = 900\nrequests_per_second = 100\nrequests_per_day = 1000\n"
            for name, (tier, algorithm) in AUDIENCES.items()
            if tier == "hsm"
        ]
        return (
            f'listen = "127.0.0.1:{port}"\nstate_dir = "state"\ndevelopment = true\n'
            f'[module]\npath = "{MODULE}"\ntoken = "clients"\npin_file = "pin"\n'
            f'[[group]]\nname = "default"\nissuer = "{issuer}"\nalgorithms = ["ES256", "EdDSA"]\nepoch_seconds = 3600\n'
            f'[[credential]]\nname = "broker"\n{sha256}\ngroups = ["default"]\n' + "".join(keys)
        )

    def call(self, program, *arguments):
        done = subprocess.run(
            [program, *arguments], cwd=self.hsm, env=self.environment, check=False, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def variables(self):
        return {
            "gateway_urls": self.gateway_url,
            "gateway_token": f"@{self.hsm}/gateway-token",
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

    def test_pyjwt_and_jose_verify_every_algorithm_of_either_tier(self):
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


if __name__ == "__main__":
    unittest.main()
