"""The Sigma rules of deploy/sigma/, converted by pySigma, against the audit records of a broker."""

import sqlite3
import subprocess
import tempfile
import unittest
import uuid

import requests
import yaml
from sigma.backends.sqlite import sqlite
from sigma.collection import SigmaCollection

import broker

RULES = broker.REPO / "deploy/sigma"
README = (RULES / "README.md").read_text()
VIEW = README.split("```sql\n")[1].split("```")[0]
QUIET, LOUD, BLOCKED = "repo:octo-org/quiet", "repo:octo-org/loud", "repo:octo-org/blocked"


def found(database, path):
    """Titles of the rules in the file that find something, with what they find."""
    text = path.read_text()
    backend = sqlite.sqliteBackend()
    backend.table = "events"
    titles = [document["title"] for document in yaml.safe_load_all(text)]
    queries = backend.convert(SigmaCollection.from_yaml(text))
    # The backend leaves out rules that only correlations use.
    titles = titles[-len(queries) :] if len(queries) < len(titles) else titles
    rows = {title: database.execute(query).fetchall() for title, query in zip(titles, queries, strict=True)}
    return {title: each for title, each in rows.items() if each}


class Sigma(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(broker.Setup())
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.make_records()
        cls.copy = f"{folder}/audit.db"
        [source] = (cls.site.folder / "state").glob("**/*.db")
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as database:
            database.execute("VACUUM INTO ?", [cls.copy])
        with sqlite3.connect(cls.copy) as database:
            database.execute(VIEW)

    @classmethod
    def token(cls, subject, repository="123456"):
        claims = {"sub": subject, "repository_id": repository, "jti": str(uuid.uuid4())}
        minted = requests.post(f"{cls.site.dev_issuer}/mint", json={"aud": cls.site.broker, "claims": claims}, timeout=10)
        return minted.json()["token"]

    @classmethod
    def exchange(cls, token, audience="https://api.example", scope="read"):
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token, "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "scope": scope,
        }  # fmt: skip
        return requests.post(f"{cls.site.broker}/token", data=form, timeout=30).status_code

    @classmethod
    def make_records(cls):
        """What a quiet workload does, and then each thing that a rule is for."""
        assert cls.exchange(cls.token(QUIET)) == 200
        deploy, scope = "https://deploy.example", "deploy:read"
        spent = [cls.token(LOUD) for _ in range(3)]
        assert [cls.exchange(token, deploy, scope) for token in spent * 2] == [200] * 3 + [400] * 3
        for number in range(10):
            assert cls.exchange(cls.token(LOUD), f"https://audience{number % 5}.example") == 400
        assert cls.exchange(cls.token("repo:octo-org/777", broker.ADMIN), f"{cls.site.broker}/admin", "revoke") == 200
        with tempfile.NamedTemporaryFile("w", suffix=".jwt") as file:
            file.write(cls.token("repo:octo-org/777", broker.ADMIN))
            file.flush()
            command = [
                *(broker.VOUCHSAFE, "revoke", "--broker", cls.site.broker, "--subject-token-file", file.name, "--block"),
                *("--issuer", "dev", "--subject", BLOCKED, "--reason", "test"),
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        assert cls.exchange(cls.token(BLOCKED)) == 400

    def titles(self, database):
        return {title for path in sorted(RULES.glob("*.yml")) for title in found(database, path)}

    def test_rules_find_what_they_are_for(self):
        with sqlite3.connect(self.copy) as database:
            expected = {
                "Token for the administration of the broker", "Workload that policy refuses again and again",
                "Workload that tries many audiences", "Workload whose spent tokens come again and again",
                "Request of a blocked workload",
            }  # fmt: skip
            self.assertLessEqual(expected, self.titles(database))
            loud = found(database, RULES / "replay.yml")["Workload whose spent tokens come again and again"]
            self.assertIn(LOUD, str(loud))

    def test_quiet_workloads_are_not_found(self):
        with sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True) as source:
            database = sqlite3.connect(":memory:")
            source.backup(database)
        database.execute("DELETE FROM audit WHERE subject != ?", [QUIET])
        self.assertEqual(self.titles(database), set())

    def test_each_rule_of_one_slug_finds_it(self):
        """Slugs that a broker in good order never records: a copy of the trail gets them."""
        for slug, title in {
            "proof.key_mismatch": "Bound token with another key",
            "proof.required_by_token": "Bound token with another key",
            "signer.refused": "Permit beyond the limits of the signer",
        }.items():
            with self.subTest(slug), sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True) as source:
                database = sqlite3.connect(":memory:")
                source.backup(database)
                database.execute("UPDATE audit SET slug = ? WHERE subject = ?", [slug, QUIET])
                self.assertIn(title, self.titles(database))
        database.execute("UPDATE audit SET erring_rules = '[\"a\"]' WHERE subject = ?", [QUIET])
        self.assertIn("Policy that fails to evaluate", self.titles(database))

    def test_every_rule_is_in_the_table(self):
        for path in RULES.glob("*.yml"):
            self.assertIn(f"| `{path.name}` |", README)
        ids = [document["id"] for path in RULES.glob("*.yml") for document in yaml.safe_load_all(path.read_text())]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
