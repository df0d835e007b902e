"""`token --watch` and `exec --renew`: a file always has a valid token."""

import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from broker import VOUCHSAFE
from fake_broker import FakeBroker, answer, issued
from test_commands import REFUSED, WRONG_USE, clean_environment, run

OPTIONS = ("--audience", "https://api.example", "--scope", "read", "--subject-token-env", "PROOF")
REFUSAL = answer(400, {"error": "invalid_target"})
# Renewed after two of these.
LIFE_SECONDS = 3
WAIT_SECONDS_MAX = 50


def until(condition):
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := condition()):
        assert time.monotonic() < end, "never happened"
        time.sleep(0.05)
    return found


class Renewal(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.folder / "token"
        self.fake = self.enterContext(FakeBroker(answers=[issued("to.ken.1", LIFE_SECONDS), issued("to.ken.2", 3600)]))

    def start(self, *arguments):
        environment = clean_environment(PROOF="aaa.bbb.ccc", XDG_RUNTIME_DIR=str(self.folder), VOUCHSAFE_BROKER=self.fake.url)
        child = subprocess.Popen(
            [VOUCHSAFE, *arguments], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child

    def content(self):
        return self.file.read_text() if self.file.exists() else ""


class Watch(Renewal):
    def test_replaces_the_file_before_the_token_expires(self):
        child = self.start("token", *OPTIONS, "--watch", str(self.file))
        started = time.monotonic()
        until(lambda: self.content() == "to.ken.1")
        first = self.file.stat()
        # Never partial, never missing.
        while (found := self.content()) != "to.ken.2":
            self.assertEqual(found, "to.ken.1")
            self.assertLess(time.monotonic() - started, WAIT_SECONDS_MAX)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertNotEqual(self.file.stat().st_ino, first.st_ino)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["token"])
        lines = [child.stderr.readline(), child.stderr.readline()]
        child.terminate()
        stdout, stderr = child.communicate(timeout=20)
        self.assertEqual((child.returncode, stdout, stderr), (-signal.SIGTERM, "", ""))
        for line in lines:
            self.assertRegex(line, rf"^vouchsafe: wrote {self.file}; the token expires at \d{{4}}-[\d:TZ-]+\n$")

    def test_goes_on_while_the_broker_is_away(self):
        self.fake.answers = [issued("to.ken.1", LIFE_SECONDS), answer(503, {}), issued("to.ken.2", 3600)]
        self.start("token", *OPTIONS, "--retries", "0", "--watch", str(self.file))
        until(lambda: self.content() == "to.ken.1")
        until(lambda: self.content() == "to.ken.2")

    def test_ends_when_it_is_refused(self):
        self.fake.answers = [issued("to.ken.1", LIFE_SECONDS), REFUSAL]
        child = self.start("token", *OPTIONS, "--watch", str(self.file))
        _, stderr = child.communicate(timeout=WAIT_SECONDS_MAX)
        self.assertEqual(child.returncode, REFUSED)
        self.assertIn("error: the broker refused: invalid_target", stderr)
        self.assertEqual(self.content(), "to.ken.1")

    def test_needs_a_source_that_it_can_read_again(self):
        arguments = ("--broker", self.fake.url, "--audience", "a", "--subject-token-file", "-", "--watch", str(self.file))
        done = run("token", *arguments, stdin="aaa.bbb.ccc")
        self.assertEqual(done.returncode, WRONG_USE)
        self.assertIn("a subject token from standard input cannot be renewed", done.stderr)
        self.assertEqual(self.fake.forms, [])

    def test_leaves_devices_alone(self):
        done = run("token", "--broker", self.fake.url, *OPTIONS, "--watch", "/dev/null", PROOF="a.b.c")
        self.assertEqual((done.returncode, self.fake.forms), (WRONG_USE, []))


class Exec(Renewal):
    def test_command_finds_a_new_token_in_its_file(self):
        script = 'cat "$VOUCHSAFE_TOKEN_FILE"; echo; while [ "$(cat "$VOUCHSAFE_TOKEN_FILE")" = to.ken.1 ]; do sleep 0.1; done; cat "$VOUCHSAFE_TOKEN_FILE"; echo; echo "${VOUCHSAFE_TOKEN-unset}"; stat -c %a "$VOUCHSAFE_TOKEN_FILE" "$(dirname "$VOUCHSAFE_TOKEN_FILE")"; exit 7'
        child = self.start("exec", *OPTIONS, "--renew", "--", "sh", "-c", script)
        stdout, stderr = child.communicate(timeout=WAIT_SECONDS_MAX)
        self.assertEqual(child.returncode, 7, stderr)
        self.assertEqual(stdout.split(), ["to.ken.1", "to.ken.2", "unset", "600", "700"])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_token_is_in_no_process_list(self):
        child = self.start("exec", *OPTIONS, "--renew", "--", "sh", "-c", "echo ready; read line || exec sleep 60")
        child.stdout.readline()
        for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.assertNotIn(b"to.ken", file.read_bytes())
            except (FileNotFoundError, ProcessLookupError):
                pass
        self.assertNotIn(b"to.ken", pathlib.Path(f"/proc/{child.pid}/environ").read_bytes())
        child.terminate()
        child.communicate(timeout=20)

    def test_passes_signals_on_and_cleans_up(self):
        script = 'trap "echo term; exit 5" TERM; trap "echo hup" HUP; echo ready; while :; do sleep 0.05; done'
        child = self.start("exec", *OPTIONS, "--renew", "--", "sh", "-c", script)
        self.assertEqual(child.stdout.readline(), "ready\n")
        # The terminal sends it to the command itself.
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGHUP)
        self.assertEqual(child.stdout.readline(), "hup\n")
        child.send_signal(signal.SIGTERM)
        stdout, stderr = child.communicate(timeout=20)
        self.assertEqual((child.returncode, stdout), (5, "term\n"), stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_command_that_a_signal_ends(self):
        child = self.start("exec", *OPTIONS, "--renew", "--", "sh", "-c", "kill -KILL $$")
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 128 + 9)

    def test_missing_command_leaves_no_file(self):
        child = self.start("exec", *OPTIONS, "--renew", "--", "no-such-command")
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 127)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_names_the_variable(self):
        child = self.start("exec", *OPTIONS, "--renew", "--env-name", "AWS_WEB_IDENTITY_TOKEN_FILE", "--", "sh", "-c", 'cat "$AWS_WEB_IDENTITY_TOKEN_FILE"')
        self.assertEqual(child.communicate(timeout=20)[0], "to.ken.1")

    def test_command_goes_on_when_renewal_is_refused(self):
        self.fake.answers = [issued("to.ken.1", LIFE_SECONDS), REFUSAL]
        go = self.folder / "go"
        child = self.start("exec", *OPTIONS, "--renew", "--", "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done; echo went on")
        until(lambda: len(self.fake.forms) == 2)
        lines = [child.stderr.readline(), child.stderr.readline()]
        self.assertEqual(lines[0], "vouchsafe: the token is no longer renewed; the command goes on\n")
        self.assertIn("error: the broker refused: invalid_target", lines[1])
        go.touch()
        self.assertEqual(child.communicate(timeout=20)[0], "went on\n")
        self.assertEqual(child.returncode, 0)


if __name__ == "__main__":
    unittest.main()
