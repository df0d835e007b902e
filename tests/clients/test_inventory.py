"""`vouchsafe keys inventory`, `policy usage`, `incident report` and `report`, of a broker that issues and refuses tokens."""

import html.parser
import json
import subprocess
import tempfile
import pathlib
import unittest

import requests
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import broker
from test_hsm import HsmSetup, url
from test_networks import Authority
from test_operations import exchange

OWNERS = """
[keys.root]
owner = "platform@acme.example"
criticality = "critical"
"""
SECRET = "Y2xpZW50LXRlc3RzLW9ubHktbm90LWEtc2VjcmV0LTAwMDE"


def call(setup, *arguments, code=0):
    done = subprocess.run(
        [broker.VOUCHSAFE, *arguments], cwd=setup.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout


class Owned(broker.Setup):
    """A broker whose root is in a file, and has an owner."""

    def variables(self):
        (self.folder / "root").write_text(SECRET)
        (self.folder / "root").chmod(0o600)
        return {"signer_root": f"@{self.folder}/root"}

    def inventory(self, *arguments, code=0):
        variables = {"issuer": self.broker, "development": "true", **self.variables()}
        options = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        manifest = ("--manifest", "spin.toml", "--policies", "policies", "--state-dir", "state")
        return call(self, "keys", "inventory", *manifest, *options, *arguments, code=code)


class WithoutHsm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = cls.enterClassContext(Owned())
        assert exchange(cls.setup).status_code == 200
        assert exchange(cls.setup, audience="https://unknown.example").status_code == 400
        # The running broker has the bundle without owners, which an older component may not know.
        with open(cls.setup.folder / "policies/bundle.toml", "a", encoding="utf-8") as manifest:
            manifest.write(OWNERS)
        # Adds the records to the log.
        requests.get(f"{cls.setup.broker}/log/checkpoint", timeout=10).raise_for_status()

    def entries(self, *arguments):
        return json.loads(self.setup.inventory("--format", "json", *arguments))

    def test_lists_root_epoch_keys_and_log_with_use(self):
        entries = self.entries()
        kinds = {entry["kind"] for entry in entries}
        self.assertLessEqual({"root", "epoch-key", "log-key", "admin-audience"}, kinds)
        (root,) = [entry for entry in entries if entry["kind"] == "root"]
        self.assertEqual((root["owner"], root["criticality"]), ("platform@acme.example", "critical"))
        self.assertEqual(root["custody"], f"file {self.setup.folder}/root")
        self.assertTrue(root["created"] and root["used"])
        published = requests.get(f"{self.setup.broker}/.well-known/jwks.json", timeout=10).json()["keys"]
        keys = {entry["id"]: entry for entry in entries if entry["kind"] == "epoch-key"}
        self.assertEqual(set(keys), {key["kid"] for key in published})
        used = [entry for entry in keys.values() if entry["used"]]
        self.assertEqual([(entry["state"], entry["owner"]) for entry in used], [("active", "platform@acme.example")])

    def test_never_prints_a_secret(self):
        for form in ("text", "json", "cyclonedx"):
            self.assertNotIn(SECRET, self.setup.inventory("--format", form))

    def test_warns_of_unowned_and_expiring(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(pathlib.Path(folder))
            authority.server("soon", days=3)
            certificate = f"{folder}/soon.pem"
            entries = self.entries("--certificate", certificate)
            (found,) = [entry for entry in entries if entry["kind"] == "certificate"]
            self.assertEqual(found["name"], "CN=soon")
            warnings = " ".join(found["warnings"])
            self.assertIn("nobody owns it: set `keys.certificate.owner` in bundle.toml", warnings)
            self.assertIn("it expires at ", warnings)
            (found,) = [entry for entry in self.entries("--certificate", certificate, "--expiring-within", "2d") if entry["kind"] == "certificate"]
            self.assertNotIn("it expires at ", " ".join(found["warnings"]))
            self.setup.inventory("--certificate", certificate, "--deny-warnings", code=1)

    def test_bill_of_materials_is_valid(self):
        text = self.setup.inventory("--format", "cyclonedx")
        self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text))
        document = json.loads(text)
        self.assertTrue(any(it["name"] == "ES256" for it in document["components"]))
        # The validator finds what is wrong.
        document["components"][-1]["cryptoProperties"]["assetType"] = "no such type"
        self.assertIsNotNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)))

    def test_usage_tells_used_from_unused_grants(self):
        arguments = ("policy", "usage", "policies", "--replay", "state", "--development", "--issuer", self.setup.broker)
        grants = json.loads(call(self.setup, *arguments, "--format", "json"))
        used = [grant for grant in grants if grant["tokens"]]
        self.assertEqual({grant["audience"] for grant in used}, {"https://api.example"})
        self.assertTrue(all(grant["workloads"] and grant["last"] and grant["keys"] for grant in used))
        self.assertTrue(any(grant["tokens"] == 0 for grant in grants))
        text = call(self.setup, *arguments, "--deny-unused", code=1)
        self.assertIn("UNUSED", text)

    def test_incident_report_names_tokens_and_timeline(self):
        (issued,) = [entry for entry in self.entries() if entry["kind"] == "epoch-key" and entry["used"]]
        report = json.loads(call(self.setup, "incident", "report", "state", "--kid", issued["id"], "--format", "json"))
        self.assertEqual((report["tokens"], report["live_tokens"], report["kids"]), (1, 1, {issued["id"]: 1}))
        self.assertEqual(report["audiences"], {"https://api.example": 1})
        self.assertEqual([event["about"]["slug"] for event in report["timeline"]], ["issued"])
        everything = call(self.setup, "incident", "report", "state", "--since", "1h")
        self.assertIn("1 tokens, 1 of them live", everything)
        self.assertIn("audience.unknown", everything)
        call(self.setup, "incident", "report", "state", code=2)

    def test_report_has_figures_and_is_a_page(self):
        keys = self.setup.folder / "keys.json"
        keys.write_text(self.setup.inventory("--format", "json"))
        arguments = ("report", "state", "--weekly", "--policies", "policies", "--development", "--issuer", self.setup.broker, "--inventory", "keys.json")
        report = json.loads(call(self.setup, *arguments, "--format", "json"))
        counts = {it["slug"]: it["count"] for it in report["exchanges"]}
        self.assertEqual((counts["issued"], counts["audience.unknown"]), (1, 1))
        self.assertEqual((report["rotation"]["keys"], report["rotation"]["new_keys"]), (1, 1))
        self.assertGreater(report["policies"]["in_bundle"], report["policies"]["used"])
        self.assertEqual(len(report["bundles"]), 1)
        self.assertTrue(report["keys"])
        page = call(self.setup, *arguments)
        parser = html.parser.HTMLParser()
        parser.feed(page)
        for words in ("Policies: 1 of ", "audience.unknown", "signer_root", "<h2>Rotation: 1 keys signed"):
            self.assertIn(words, page)
        call(self.setup, "report", "state", code=2)


class WithHsm(unittest.TestCase):
    def test_lists_keys_and_credentials_of_gateway(self):
        with AdministeredHsm() as setup:
            self.assertEqual(exchange(setup, audience=url("hsm-es256"), scope="").status_code, 200)
            variables = {"issuer": setup.broker, "development": "true", **setup.variables()}
            options = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
            manifest = ("--manifest", "spin.toml", "--policies", "policies", "--state-dir", "state")
            gateway = ("--gateway", setup.admin_url, "--admin-token-file", str(setup.hsm.folder / "admin-token"))
            text = call(setup, "keys", "inventory", *manifest, *options, *gateway, "--format", "cyclonedx")
            self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text))
            entries = json.loads(call(setup, "keys", "inventory", *manifest, *options, *gateway, "--format", "json"))
            names = {(entry["kind"], entry["name"]) for entry in entries}
            expected = {
                ("gateway-admin", "operator"), ("gateway-credential", "broker"), ("gateway-credential", "gateway_token"),
                ("root", setup.admin_url), ("hsm-key", "hsm-es256/1"),
            }  # fmt: skip
            self.assertLessEqual(expected, names)
            (key,) = [entry for entry in entries if entry["name"] == "hsm-es256/1"]
            self.assertEqual((key["state"], key["custody"]), ("active", "HSM"))
            self.assertTrue(key["used"] and key["created"])
            # A gateway that is down does not hide the rest.
            setup.processes.remove(setup.gateway)
            setup.gateway.stop()
            done = call(setup, "keys", "inventory", *manifest, *options, *gateway, "--format", "json", code=3)
            self.assertIn("gateway_token", done)


class AdministeredHsm(HsmSetup):
    """A gateway with an admin."""

    def prepare(self, policies, issuer):
        super().prepare(policies, issuer)
        self.processes.remove(self.gateway)
        self.gateway.stop()
        from test_hsm import GATEWAY

        sha256 = self.hsm.call(GATEWAY, "credential", "--out", "admin-token").strip()
        port = broker.free_port()
        self.admin_url = f"http://127.0.0.1:{port}"
        file = self.hsm.folder / "gateway.toml"
        file.write_text(f'admin_listen = "127.0.0.1:{port}"\n' + file.read_text() + f'[[admin]]\nname = "operator"\n{sha256}\n')
        self.gateway = self.start_gateway()


if __name__ == "__main__":
    unittest.main()
