"""The files of deploy/ci, run as their platforms run them."""

import hashlib
import http.server
import json
import os
import pathlib
import tarfile
import tempfile
import threading
import unittest

import yaml

import pages
from broker import REPO, VOUCHSAFE
from ci_runners import GitHubJob, buildkite_job, circleci_job, gitlab_job
from fake_broker import FakeBroker, answer, issued
from test_commands import clean_environment
from test_platforms import Metadata, subject

CI = REPO / "deploy/ci"
REFUSAL = answer(400, {"error": "invalid_target"})
API = "https://api.example"


def example(number):
    """A file of the page, as YAML."""
    blocks = [block for block in pages.blocks("outputs.md") if block.heading == "CI platforms"]
    return yaml.safe_load(blocks[number].text)



class Job(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        (self.programs / "vouchsafe").symlink_to(VOUCHSAFE)
        self.fake = self.enterContext(FakeBroker(answers=[issued("to.ken.1")]))
        self.environment = clean_environment(PATH=f"{self.programs}:{os.environ['PATH']}")

    def program(self, name, script):
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)


class GitHub(Job):
    def setUp(self):
        super().setUp()
        service = self.enterContext(Metadata(json.dumps({"value": "job.to.ken"}).encode()))
        variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{service.address}/?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "r"}
        self.job = GitHubJob(self.folder, {**self.environment, **variables})

    def action(self, **inputs):
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self.job.action(CI / "github/action.yml", {"broker": self.fake.url, "audience": API, **named})

    def test_returns_a_masked_token(self):
        succeeded, outputs = self.action(scope="read write", lifetime="5m")
        self.assertTrue(succeeded, self.job.log)
        self.assertEqual(outputs, {"token": "to.ken.1"})
        self.job.step("echo it is to.ken.1 for job.to.ken")
        self.assertTrue(self.job.log.endswith("it is *** for ***\n"), self.job.log)
        self.assertNotIn("to.ken", self.job.log)
        self.assertIn("scope=read+write&requested_expires_in=300", self.fake.forms[0])

    def test_example_of_the_page_names_inputs_that_exist(self):
        step, use = example(0)["jobs"]["deploy"]["steps"]
        inputs = {**step["with"], "broker": self.fake.url}
        _, outputs = self.job.action(CI / "github/action.yml", inputs)
        self.assertEqual(self.job.expression(use["env"]["DEPLOY_TOKEN"], {}, {step["id"]: outputs}), "to.ken.1")
        self.assertIn("audience=https%3A%2F%2Fdeploy.example&scope=deploy%3Awrite", self.fake.forms[0])

    def test_exports_the_token_on_request(self):
        self.action()
        self.job.step('echo "none: ${API_TOKEN-none}"')
        self.action(env_name="API_TOKEN")
        self.job.step('[ "$API_TOKEN" = to.ken.1 ] && echo it is there')
        self.assertIn("none: none\n", self.job.log)
        self.assertTrue(self.job.log.endswith("it is there\n"), self.job.log)

    def test_refusal_fails_the_step(self):
        self.fake.answers = [REFUSAL]
        self.assertEqual(self.action(env_name="API_TOKEN"), (False, {}))
        self.assertIn("error: the broker refused: invalid_target", self.job.log)
        self.assertNotIn("API_TOKEN", self.job.environment)

    def test_inputs_are_never_commands(self):
        evil = f'$(touch {self.folder}/owned) `touch {self.folder}/owned`; touch {self.folder}/owned "'
        for name in ("audience", "scope", "lifetime", "env_name", "broker", "archive", "archive_sha256"):
            self.action(**{name: evil})
        self.assertFalse((self.folder / "owned").exists())

    def test_variable_cannot_be_one_of_the_shell(self):
        for name in ("PATH", "BASH_ENV", "LD_PRELOAD", "A\nPATH", "A=b"):
            self.assertEqual(self.action(env_name=name), (False, {}), name)
        self.assertEqual(self.fake.forms, [])

    def test_token_with_a_line_break_is_no_token(self):
        for token in ("a.b.c\nPATH=/evil", "a.b.c\r", "::add-path::/evil", "a b"):
            self.fake.answers = [issued(token)]
            self.assertEqual(self.action(env_name="API_TOKEN"), (False, {}), token)
            self.assertIn("invalid response", self.job.log)
            self.assertNotIn("API_TOKEN", self.job.environment)

    def test_missing_input_is_an_error(self):
        self.assertEqual(self.action(broker=""), (False, {}))
        self.assertIn("--broker <URL>", self.job.log)

    def archive(self):
        """Serves a release archive, and returns its URL and checksum."""
        (self.programs / "vouchsafe").unlink()
        file = self.folder / "served" / "vouchsafe.tar.gz"
        file.parent.mkdir()
        with tarfile.open(file, "w:gz") as archive:
            archive.add(VOUCHSAFE, "vouchsafe-client-1.0.0-linux/bin/vouchsafe")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=file.parent)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/{file.name}", hashlib.sha256(file.read_bytes()).hexdigest()

    def test_takes_the_program_from_a_checked_archive(self):
        url, checksum = self.archive()
        self.assertEqual(self.action(), (False, {}))
        self.assertEqual(self.action(archive=url), (False, {}))
        self.assertEqual(self.action(archive=url, archive_sha256="0" * 64), (False, {}))
        self.assertEqual(self.fake.forms, [])
        self.assertEqual(self.action(archive=url, archive_sha256=checksum), (True, {"token": "to.ken.1"}), self.job.log)


class GitLab(Job):
    def run_job(self, script, **inputs):
        asked = []

        def id_token(audience):
            asked.append(audience)
            return "git.lab.job"

        inputs = {"broker": self.fake.url, "audience": API, **inputs}
        job = {"extends": inputs.get("job", ".vouchsafe-token"), "script": script}
        environment = {"variables": self.environment, "id_token": id_token}
        done = gitlab_job(CI / "gitlab/templates/token.yml", inputs, job, environment, self.folder)
        self.assertEqual(asked, [self.fake.url])
        return done

    def test_job_has_a_token(self):
        done = self.run_job(['[ "$VOUCHSAFE_TOKEN" = to.ken.1 ] && echo it is there'], scope="read", job=".deploy")
        self.assertEqual((done.returncode, done.stdout), (0, "it is there\n"))
        self.assertEqual(subject(self.fake), "git.lab.job")

    def test_example_of_the_page_names_inputs_that_exist(self):
        page = example(1)
        (include,) = page["include"]
        self.programs.joinpath("vouchsafe").unlink()
        self.program("vouchsafe", f'echo "$VOUCHSAFE_AUDIENCE $VOUCHSAFE_SCOPE" > {self.folder}/asked; exec {VOUCHSAFE} "$@"')
        self.program("deploy", 'echo "deployed with $VOUCHSAFE_TOKEN"')
        self.assertEqual(page["deploy"]["extends"], ".vouchsafe-token")
        script = [line.replace("./deploy.sh", "deploy") for line in page["deploy"]["script"]]
        done = self.run_job(script, **{**include["inputs"], "broker": self.fake.url})
        self.assertEqual(done.stdout, "deployed with to.ken.1\n")
        self.assertEqual((self.folder / "asked").read_text(), "https://deploy.example deploy:write\n")

    def test_refusal_fails_the_job(self):
        self.fake.answers = [REFUSAL]
        done = self.run_job(["echo went on"])
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("went on", done.stdout)


class Buildkite(Job):
    def run_job(self, command, **configuration):
        agent = f'case "$1" in oidc) echo build.ki.te;; redactor) cat >> {self.folder}/redacted; [ ! -e {self.folder}/broken ];; esac'
        self.program("buildkite-agent", f"echo \"$@\" >> {self.folder}/agent\n{agent}")
        configuration = {"broker": self.fake.url, "audience": API, **configuration}
        return buildkite_job(CI / "buildkite", configuration, command, self.environment, self.folder)

    def test_command_has_a_redacted_token(self):
        done = self.run_job('[ "$API_TOKEN" = to.ken.1 ] && echo it is there', **{"env-name": "API_TOKEN", "scope": "read"})
        self.assertTrue(done.stdout.endswith("it is there\n"), done.stdout)
        self.assertEqual((self.folder / "redacted").read_text(), "to.ken.1")
        self.assertNotIn("to.ken", (self.folder / "agent").read_text())
        self.assertEqual(subject(self.fake), "build.ki.te")

    def test_failures_fail_the_job(self):
        (self.folder / "broken").touch()
        self.assertNotIn("went on", self.run_job("echo went on").stdout)
        self.fake.answers = [REFUSAL]
        done = self.run_job("echo went on")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("went on", done.stdout)

    def test_variable_cannot_be_one_of_the_shell(self):
        done = self.run_job("echo went on", **{"env-name": "PATH"})
        self.assertNotIn("went on", done.stdout)
        self.assertEqual(self.fake.forms, [])


class CircleCi(Job):
    def run_job(self, command, **parameters):
        self.program("circleci", "echo cir.cle.ci")
        parameters = {"broker": self.fake.url, "audience": API, **parameters}
        return circleci_job(CI / "circleci/orb.yml", parameters, command, self.environment, self.folder)

    def test_later_steps_have_a_token(self):
        first, second = self.run_job('[ "$VOUCHSAFE_TOKEN" = to.ken.1 ] && echo it is there', scope="read")
        self.assertEqual((first.returncode, first.stdout), (0, ""))
        self.assertEqual((second.returncode, second.stdout), (0, "it is there\n"))
        self.assertEqual(subject(self.fake), "cir.cle.ci")

    def test_refusal_fails_the_step_and_exports_nothing(self):
        self.fake.answers = [REFUSAL]
        first, second = self.run_job("echo went on")
        self.assertEqual((first.returncode, second), (1, None))
        self.assertEqual((self.folder / "bash_env").read_text(), "")

    def test_parameters_are_never_commands(self):
        for name in ("audience", "scope", "env-name", "broker"):
            self.run_job("true", **{name: f"$(touch {self.folder}/owned)"})
        self.assertFalse((self.folder / "owned").exists())


if __name__ == "__main__":
    unittest.main()
