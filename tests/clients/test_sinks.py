"""`vouchsafe audit export --to`: lines in a file, syslog over TLS at rsyslog, and webhooks, with sinks that are down or
hang, and exporters that are killed."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

import requests
import standardwebhooks

import broker
from test_networks import Authority
from test_operations import API, DEPLOY, exchange

WAIT_SECONDS = 60
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def eventually(what, look, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"timed out waiting for {what}")


class Receiver:
    """A receiver of webhooks that verifies them with the reference library. It can be told to refuse, or not to answer."""

    def __init__(self, secret=SECRET):
        self.port, self.received, self.status, self.hangs = broker.free_port(), [], 204, threading.Event()
        self.attempts = 0
        self.server = None
        self.secret = secret
        self.open()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hooks"

    def open(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.attempts += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                while receiver.hangs.is_set():
                    time.sleep(0.05)
                if receiver.status == 204:
                    event = standardwebhooks.Webhook(receiver.secret).verify(body, dict(self.headers))
                    receiver.received.append((self.headers["webhook-id"], event))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(receiver.status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def kinds(self):
        return [event["type"] for _, event in self.received]


class Rsyslog:
    """Debian's rsyslog with TLS, which writes what it gets to a file."""

    def __init__(self, folder, authority):
        self.folder = folder
        self.port, self.output = broker.free_port(), folder / "received"
        authority.server("syslog")
        done = subprocess.run([broker.REPO / "scripts/rsyslog"], capture_output=True, text=True, check=True, timeout=300)
        self.root = pathlib.Path(done.stdout.strip())
        (folder / "rsyslog.conf").write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{authority.file}" defaultNetstreamDriverCertFile="{folder}/syslog.pem"
  defaultNetstreamDriverKeyFile="{folder}/syslog.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="{self.port}" address="127.0.0.1")
template(name="line" type="string" string="%pri% %hostname% %app-name% %msgid% %msg%\\n")
action(type="omfile" file="{self.output}" template="line")
""")
        self.process = None

    def start(self):
        libraries = self.root / "usr/lib/x86_64-linux-gnu"
        self.process = subprocess.Popen(
            [self.root / "usr/sbin/rsyslogd", "-n", "-f", self.folder / "rsyslog.conf", "-i", self.folder / "pid", "-M", libraries / "rsyslog"],
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        eventually("rsyslog", lambda: not broker.is_free(self.port) or self.process.poll() is not None)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    def lines(self):
        return self.output.read_text().splitlines() if self.output.exists() else []


class Exporter:
    """`vouchsafe audit export --watch`, until it is stopped or killed."""

    def __init__(self, setup, cursor, *sinks, form="ocsf"):
        arguments = ["audit", "export", "state", "--format", form, "--watch", "--cursor", str(cursor)]
        self.log = open(setup.folder / "exporter.log", "ab")
        self.process = subprocess.Popen(
            [broker.VOUCHSAFE, *arguments, *map(str, sinks)], cwd=setup.folder, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        line = self.process.stdout.readline()
        assert line.startswith("exporting to "), (setup.folder / "exporter.log").read_text()

    def kill(self):
        self.process.kill()
        self.end()

    def stop(self):
        self.process.terminate()
        assert self.end() == 0

    def end(self):
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.log.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


class Sinks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = cls.enterClassContext(broker.Setup())

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.secret = self.folder / "secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)

    def decisions(self):
        """Ids of all records."""
        with contextlib.closing(sqlite3.connect(f"file:{self.setup.folder}/state/sqlite.db?mode=ro", uri=True)) as database:
            return [row[0] for row in database.execute("SELECT decision_id FROM audit ORDER BY seq")]

    def issue(self, count=1):
        for _ in range(count):
            self.assertEqual(exchange(self.setup).status_code, 200)

    def replay(self):
        """Spends a single-use token, and sends it again; returns the decision that refused it."""
        claims = {"jti": str(uuid.uuid4())}
        minted = requests.post(f"{self.setup.dev_issuer}/mint", json={"aud": self.setup.broker, "claims": claims}, timeout=10)
        token = minted.json()["token"]
        self.assertEqual(exchange(self.setup, token, DEPLOY, "deploy:read").status_code, 200)
        answer = exchange(self.setup, token, DEPLOY, "deploy:read")
        self.assertEqual(answer.status_code, 400)
        return answer.json()["decision_id"]

    def exported(self, path):
        return [json.loads(line)["metadata"]["uid"] for line in path.read_text().splitlines()] if path.exists() else []

    def once(self, *arguments, code=0):
        command = [broker.VOUCHSAFE, "audit", "export", "state", "--format", "ocsf", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.setup.folder, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_killed_exporter_loses_nothing(self):
        file = self.folder / "audit.jsonl"
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                exporter = Exporter(self.setup, self.folder / "cursor", "--to", f"file:{file}")
                self.issue(3)
                # In the middle of something, or not: both must be right.
                exporter.kill()
            stack.enter_context(Exporter(self.setup, self.folder / "cursor", "--to", f"file:{file}"))
            eventually("all records", lambda: set(self.decisions()) <= set(self.exported(file)))
        exported = self.exported(file)
        self.assertEqual(set(exported), set(self.decisions()))

    def test_file_may_be_renamed_and_cursor_continues(self):
        file = self.folder / "audit.jsonl"
        sink = ("--cursor", self.folder / "cursor", "--to", f"file:{file}")
        self.issue()
        self.once(*sink)
        first = self.exported(file)
        self.assertEqual(first, self.decisions())
        file.rename(self.folder / "old.jsonl")
        self.issue()
        self.once(*sink)
        self.assertEqual(first + self.exported(file), self.decisions())

    def test_two_exporters_never_share_cursors(self):
        sink = ("--to", f"file:{self.folder}/a")
        with Exporter(self.setup, self.folder / "cursor", *sink):
            message = self.once("--cursor", self.folder / "cursor", *sink, code=1)
            self.assertIn("another process uses the cursors", message)

    def test_webhook_is_signed_and_survives_an_outage(self):
        receiver = Receiver()
        self.addCleanup(lambda: receiver.close())
        sink = ("--to", receiver.url, "--secret-file", self.secret)
        receiver.close()
        with Exporter(self.setup, self.folder / "cursor", *sink):
            decision = self.replay()
            log = self.setup.folder / "exporter.log"
            eventually("a failed attempt", lambda: "trying again" in log.read_text())
            receiver.open()
            found = eventually(
                "the replay", lambda: [event for _, event in receiver.received if event["data"].get("decision_id") == decision]
            )
        self.assertEqual({event["type"] for event in found}, {"token.replayed"})
        self.assertEqual(found[0]["data"]["slug"], "replay.spent")
        self.assertRegex(found[0]["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_redirect_is_a_failure_and_repeats_have_one_id(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        decision = self.replay()
        sink = ("--cursor", self.folder / "cursor", "--to", receiver.url, "--secret-file", self.secret)
        receiver.status = 302
        self.assertIn("returned status 302", self.once(*sink, code=1))
        receiver.status = 204
        # Everything again, as after a lost cursor.
        for _ in range(2):
            self.once(*sink)
            shutil.rmtree(self.folder / "cursor")
        ids = [name for name, event in receiver.received if event["data"].get("decision_id") == decision]
        self.assertEqual((len(ids), len(set(ids))), (2, 1))

    def test_hung_sink_delays_no_other(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        receiver.hangs.set()
        self.addCleanup(receiver.hangs.clear)
        file = self.folder / "audit.jsonl"
        sinks = ("--to", receiver.url, "--secret-file", self.secret, "--to", f"file:{file}")
        exporter = Exporter(self.setup, self.folder / "cursor", *sinks)
        self.addCleanup(exporter.kill)
        decision = self.replay()
        eventually("the hung webhook", lambda: receiver.attempts)
        self.issue(3)
        eventually("all lines", lambda: set(self.decisions()) <= set(self.exported(file)))
        self.assertEqual(receiver.received, [])
        receiver.hangs.clear()
        eventually("the webhook", lambda: any(event["data"].get("decision_id") == decision for _, event in receiver.received))

    def test_rsyslog_takes_records_over_tls(self):
        authority = Authority(self.folder)
        rsyslog = Rsyslog(self.folder, authority)
        sink = ("--to", f"syslog+tls://localhost:{rsyslog.port}", "--ca", authority.file)
        ids = lambda: [json.loads(line.split(" ", 4)[4])["metadata"]["uid"] for line in rsyslog.lines()]
        with Exporter(self.setup, self.folder / "cursor", *sink):
            self.issue(2)
            rsyslog.start()
            self.addCleanup(lambda: rsyslog.stop())
            eventually("records after the outage", lambda: set(self.decisions()) <= set(ids()))
            rsyslog.stop()
            self.issue(2)
            self.replay()
            rsyslog.start()
            eventually("records after the restart", lambda: set(self.decisions()) <= set(ids()))
        heads = {line.split(" ", 4)[0] + " " + line.split(" ", 4)[3] for line in rsyslog.lines()}
        self.assertLessEqual({"110 issued", "108 replay.spent"}, heads)
        self.assertEqual({line.split(" ", 4)[2] for line in rsyslog.lines()}, {"vouchsafe"})

    def test_syslog_receiver_of_unknown_authority_gets_nothing(self):
        authority = Authority(self.folder)
        rsyslog = Rsyslog(self.folder, authority)
        rsyslog.start()
        self.addCleanup(rsyslog.stop)
        (self.folder / "other").mkdir()
        other = Authority(self.folder / "other")
        self.issue()
        sink = ("--cursor", self.folder / "cursor", "--to", f"syslog+tls://localhost:{rsyslog.port}", "--ca", other.file)
        self.assertIn("invalid peer certificate", self.once(*sink, code=1))
        self.assertEqual(rsyslog.lines(), [])

    def test_webhook_tells_that_the_log_was_changed(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.issue(3)
        requests.get(f"{self.setup.broker}/log/checkpoint", timeout=10).raise_for_status()
        policy = subprocess.run(
            [broker.VOUCHSAFE, "audit", "policy", "--broker", self.setup.broker], capture_output=True, text=True, check=True, timeout=60
        )
        (self.folder / "policy").write_text(policy.stdout)
        copy = self.folder / "copy.db"
        with contextlib.closing(sqlite3.connect(f"file:{self.setup.folder}/state/sqlite.db?mode=ro", uri=True)) as database:
            database.execute("VACUUM INTO ?", [str(copy)])
        with contextlib.closing(sqlite3.connect(copy)) as database, database:
            database.execute("UPDATE audit SET subject = 'somebody else' WHERE seq = (SELECT max(seq) FROM log_leaves)")
        command = [
            *(broker.VOUCHSAFE, "audit", "export", copy, "--format", "ocsf", "--watch", "--cursor", self.folder / "cursor"),
            *("--to", receiver.url, "--secret-file", self.secret, "--policy", self.folder / "policy"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        event = eventually("the finding", lambda: [event for _, event in receiver.received if event["type"] == "log.forked"])[0]
        self.assertEqual(event["data"]["finding"], "edited")

    def test_metrics_are_those_of_sinks_and_exchanges(self):
        self.issue()
        metrics = f"127.0.0.1:{broker.free_port()}"
        dead = f"syslog+tls://localhost:{broker.free_port()}"
        file = self.folder / "audit.jsonl"
        authority = Authority(self.folder)
        sinks = ("--to", f"file:{file}", "--to", dead, "--ca", authority.file, "--metrics-listen", metrics)
        with Exporter(self.setup, self.folder / "cursor", *sinks):
            text = lambda: requests.get(f"http://{metrics}/metrics", timeout=10).text
            value = lambda sample: [float(it) for it in re.findall(rf"^{re.escape(sample)} (\S+)$", text(), re.MULTILINE)]
            eventually("the failure", lambda: any(value(f'vouchsafe_export_failures_total{{sink="{dead}"}}')))
            # Counting begins with the exporter.
            eventually("a first count", lambda: "vouchsafe_exchanges_total" in text())
            eventually(
                "the exchange", lambda: self.issue() or any(value(f'vouchsafe_exchanges_total{{slug="issued",issuer="dev",audience="{API}"}}'))
            )
            self.assertGreater(value(f'vouchsafe_export_behind{{sink="{dead}"}}')[0], 0)
            eventually("the file", lambda: value(f'vouchsafe_export_behind{{sink="file:{file}"}}') == [0])
            self.assertIn('vouchsafe_request_duration_seconds_bucket{route="/token",le="+Inf"}', text())

    def test_refuses_unusable_sinks(self):
        cursor = ("--cursor", self.folder / "cursor")
        for sink, words in (
            ("ftp://a", "is not a sink"), ("http://soar.example/", "is not a sink"), ("syslog+tls://a", "is not HOST:PORT"),
            ("https://soar.example/", "needs --secret-file"),
        ):  # fmt: skip
            self.assertIn(words, self.once(*cursor, "--to", sink, code=2))
        self.secret.chmod(0o644)
        message = self.once(*cursor, "--to", "https://soar.example/", "--secret-file", self.secret, code=2)
        self.assertIn("lets others read or change this secret", message)


if __name__ == "__main__":
    unittest.main()
