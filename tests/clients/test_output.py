"""Where `vouchsafe token` and `exec` put a token: a shell, a file, the environment of a command."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from broker import VOUCHSAFE
from fake_broker import FakeBroker, answer, issued
from test_commands import REFUSED, UNREACHABLE, WRONG_USE, run

REFUSAL = answer(400, {"error": "invalid_target"})
OPTIONS = ("--audience", "https://api.example", "--scope", "read", "--subject-token-env", "PROOF")


def bash(script, broker):
    environment = {"PATH": os.environ["PATH"], "PROOF": "aaa.bbb.ccc", "VOUCHSAFE_BROKER": broker}
    return subprocess.run(
        ["bash", "-ec", script.replace("vouchsafe", str(VOUCHSAFE))], env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def execute(broker, *command, options=()):
    return run("exec", "--broker", broker, *OPTIONS, *options, "--", *command, PROOF="aaa.bbb.ccc")


class Shell(unittest.TestCase):
    token = f"vouchsafe token {' '.join(OPTIONS)} --format env"

    def test_exports_the_token_to_children(self):
        with FakeBroker(answers=[issued("x.y.z")]) as fake:
            for name in ("VOUCHSAFE_TOKEN", "API_TOKEN"):
                done = bash(f'eval "$({self.token} --env-name {name})"; sh -c \'echo "${name}"\'', fake.url)
                self.assertEqual((done.returncode, done.stdout), (0, "x.y.z\n"), done.stderr)

    def test_failure_stops_a_strict_shell(self):
        go_on = "; echo went on"
        with FakeBroker(answers=[REFUSAL]) as fake:
            for script in (self.token, f"{self.token} --no-such-flag", f"{self.token} --subject-token-env NOTHING"):
                done = bash(f'eval "$({script})"{go_on}', fake.url)
                self.assertEqual((done.returncode, done.stdout), (1, ""), script)
                self.assertIn("error: ", done.stderr)

    def test_failure_removes_the_old_token(self):
        with FakeBroker(answers=[REFUSAL]) as fake:
            done = bash(f'export VOUCHSAFE_TOKEN=old; eval "$({self.token})" || echo "[$VOUCHSAFE_TOKEN]"', fake.url)
            self.assertEqual(done.stdout, "[]\n")

    def test_rejects_names_that_are_code(self):
        done = run("token", "--env-name", "A;id", PROOF="a.b.c")
        self.assertEqual(done.returncode, WRONG_USE)
        self.assertIn("must consist of letters, digits and `_`", done.stderr)


class Exec(unittest.TestCase):
    def test_runs_command_with_the_token(self):
        with FakeBroker(answers=[issued("x.y.z")]) as fake:
            done = execute(fake.url, "sh", "-c", 'echo "$VOUCHSAFE_TOKEN"; tr "\\0" " " < /proc/$$/cmdline; exit 7')
            self.assertEqual(done.returncode, 7, done.stderr)
            token, command_line = done.stdout.split("\n")
            self.assertEqual(token, "x.y.z")
            self.assertNotIn("x.y.z", command_line)
            done = execute(fake.url, "sh", "-c", 'echo "$API_TOKEN"', options=("--env-name", "API_TOKEN"))
            self.assertEqual(done.stdout, "x.y.z\n")

    def test_passes_signals_and_exit_codes_on(self):
        with FakeBroker(answers=[issued()]) as fake:
            self.assertEqual(execute(fake.url, "sh", "-c", "kill -TERM $$").returncode, -15)
            self.assertEqual(execute(fake.url, "no-such-command").returncode, 127)
            self.assertEqual(execute(fake.url, "/").returncode, 126)

    def test_runs_nothing_without_a_token(self):
        with FakeBroker(answers=[REFUSAL]) as fake:
            done = execute(fake.url, "echo", "ran")
            self.assertEqual((done.returncode, done.stdout), (REFUSED, ""))
            done = execute("http://127.0.0.1:1", "echo", "ran", options=("--retries", "0"))
            self.assertEqual((done.returncode, done.stdout), (UNREACHABLE, ""))
            self.assertEqual(execute(fake.url).returncode, WRONG_USE)


class Output(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.folder / "token.jwt"

    def write(self, broker, *arguments):
        return run("token", "--broker", broker, *OPTIONS, "--output", str(self.file), *arguments, PROOF="aaa.bbb.ccc")

    def test_replaces_file_that_others_could_read(self):
        self.file.write_text("old")
        self.file.chmod(0o644)
        with FakeBroker(answers=[issued("x.y.z")]) as fake:
            done = self.write(fake.url)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual((self.file.read_text(), self.file.stat().st_mode & 0o777), ("x.y.z", 0o600))
        self.assertEqual(list(self.folder.iterdir()), [self.file])

    def test_keeps_file_if_there_is_no_token(self):
        self.file.write_text("old")
        with FakeBroker(answers=[REFUSAL]) as fake:
            self.assertEqual(self.write(fake.url).returncode, REFUSED)
        self.assertEqual(self.file.read_text(), "old")

    def test_writes_a_file_for_a_shell(self):
        with FakeBroker(answers=[issued("x.y.z")]) as fake:
            self.write(fake.url, "--format", "env")
        self.assertEqual(self.file.read_text(), "export VOUCHSAFE_TOKEN=x.y.z\n")

    def test_leaves_devices_alone(self):
        self.file = pathlib.Path("/dev/null")
        with FakeBroker(answers=[issued()]) as fake:
            done = self.write(fake.url)
        self.assertEqual(done.returncode, WRONG_USE)
        self.assertIn("/dev/null: not a regular file", done.stderr)


class Generated(unittest.TestCase):
    def test_completions_are_valid_shell(self):
        script = run("completions", "bash").stdout
        self.assertIn("--subject-token-file", script)
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        for shell in ("zsh", "fish", "elvish", "powershell"):
            self.assertIn("vouchsafe", run("completions", shell).stdout, shell)

    def test_manual_has_a_page_for_each_command(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run("man", folder).returncode, 0)
            pages = {page.name for page in pathlib.Path(folder).iterdir()}
        commands = re.findall(r"^  ([a-z-]+)  ", run("--help").stdout, re.MULTILINE)
        self.assertIn("token", commands)
        self.assertLessEqual({f"vouchsafe-{name}.1" for name in commands if name != "help"}, pages)
        self.assertTrue(run("man").stdout.lstrip().startswith((".ie", ".TH")), run("man").stdout[:100])

    def test_version_is_a_command_too(self):
        self.assertEqual(run("version").stdout, run("--version").stdout)


if __name__ == "__main__":
    unittest.main()
