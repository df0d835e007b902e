"""`--cache`: a token is used again by the same workload, and by no other."""

import base64
import concurrent.futures
import json
import pathlib
import tempfile
import unittest

from fake_broker import FakeBroker, answer, issued
from test_commands import WRONG_USE, run

OPTIONS = ("--audience", "https://api.example", "--scope", "read")


def subject(**claims):
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


class Cache(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.fake = self.enterContext(FakeBroker(answers=[issued(f"tok.en.{number}", 300) for number in range(30)]))

    def token(self, *arguments, proof=None, **environment):
        proof = proof or subject(sub="a", repository_id="1")
        environment = {"XDG_RUNTIME_DIR": str(self.folder), "PROOF": proof, **environment}
        done = run("token", "--broker", self.fake.url, *OPTIONS, "--subject-token-env", "PROOF", "--cache", *arguments, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_same_workload_gets_the_same_token(self):
        first = self.token(proof=subject(sub="a", jti="1", exp=1)).stdout
        self.assertEqual(self.token(proof=subject(sub="a", jti="2", exp=2)).stdout, first)
        self.assertEqual(len(self.fake.forms), 1)

    def test_another_job_gets_its_own(self):
        tokens = [
            self.token().stdout,
            self.token(proof=subject(sub="a", repository_id="2")).stdout,
            self.token("--scope", "write").stdout,
            self.token("--lifetime", "60s").stdout,
            self.token("--subject-token-type", "id_token").stdout,
        ]
        self.assertEqual(len(set(tokens)), len(tokens))

    def test_cached_token_is_masked_too(self):
        self.token()
        done = self.token(GITHUB_ACTIONS="true")
        self.assertEqual(done.stderr, f"::add-mask::{done.stdout}")

    def test_lifetime_shrinks_with_time(self):
        self.token()
        left = json.loads(self.token("--format", "json").stdout)["expires_in"]
        self.assertTrue(240 < left <= 300, left)

    def test_short_lived_tokens_are_not_used_again(self):
        self.fake.answers = [issued("tok.en.1", 60), issued("tok.en.2", 60)]
        self.assertNotEqual(self.token().stdout, self.token().stdout)

    def test_concurrent_commands_share_one_exchange(self):
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            tokens = list(threads.map(lambda _: self.token().stdout, range(8)))
        self.assertEqual(len(set(tokens)), 1)
        self.assertEqual(len(self.fake.forms), 1)

    def test_files_are_private_and_have_no_telling_names(self):
        self.token()
        folder = self.folder / "vouchsafe"
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        for file in folder.iterdir():
            self.assertEqual(file.stat().st_mode & 0o777, 0o600, file)
            self.assertRegex(file.name, r"^[\w-]{43}(\.lock)?$")

    def test_folder_of_others_is_refused(self):
        folder = self.folder / "vouchsafe"
        folder.mkdir()
        folder.chmod(0o777)
        arguments = ("--subject-token-env", "PROOF", "--cache")
        done = run("token", "--broker", self.fake.url, *OPTIONS, *arguments, PROOF=subject(sub="a"), XDG_RUNTIME_DIR=str(self.folder))
        self.assertEqual((done.returncode, done.stdout), (WRONG_USE, ""))
        self.assertIn("mode 0777 lets others read or change the cached tokens", done.stderr)
        self.assertEqual(self.fake.forms, [])

    def test_refusals_are_not_cached(self):
        self.fake.answers = [answer(400, {"error": "invalid_target"}), issued("tok.en.1", 300)]
        arguments = ("--subject-token-env", "PROOF", "--cache")
        proof = {"PROOF": subject(sub="a"), "XDG_RUNTIME_DIR": str(self.folder)}
        self.assertEqual(run("token", "--broker", self.fake.url, *OPTIONS, *arguments, **proof).returncode, 1)
        self.assertEqual(run("token", "--broker", self.fake.url, *OPTIONS, *arguments, **proof).stdout, "tok.en.1\n")


if __name__ == "__main__":
    unittest.main()
