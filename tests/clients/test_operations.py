"""docs/operations: the backup recipe, two brokers on one database, and the files of deploy/."""

import http.client
import json
import os
import pathlib
import re
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import requests

import broker
import pages

DEPLOY = "https://deploy.example"
API = "https://api.example"


def mint(setup):
    return requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker}, timeout=10).json()["token"]


def exchange(setup, token=None, audience=API, scope="read", base=None, **options):
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": token or mint(setup),
        "audience": audience,
        "scope": scope,
    }
    return requests.post(f"{base or setup.broker}/token", data=form, timeout=30, **options)


class Load:
    """Exchanges tokens one after the other in a thread, and keeps the status of each answer."""

    def __init__(self, request, pause_seconds=0.0):
        self.statuses = []
        self.ended = threading.Event()

        def run():
            while not self.ended.is_set():
                try:
                    self.statuses.append(request().status_code)
                except requests.RequestException as error:
                    self.statuses.append(repr(error))
                self.ended.wait(pause_seconds)

        self.thread = threading.Thread(target=run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def wait_for(self, count):
        target = len(self.statuses) + count
        while len(self.statuses) < target and self.thread.is_alive():
            time.sleep(0.01)


def run_block(block, folder, changes, **environment):
    text = block.text
    for old, new in changes.items():
        assert old in text, (old, text)
        text = text.replace(old, new)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env={**os.environ, **environment}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class Backup(unittest.TestCase):
    def test_restores_a_copy_made_under_load(self):
        back_up, restore = [block for block in pages.blocks("operations/backup.md") if block.language == "sh"]
        with broker.Setup() as setup:
            state, copies = setup.folder / "state", setup.folder / "copies"
            copies.mkdir()
            spent, later = mint(setup), mint(setup)
            self.assertEqual(exchange(setup, spent, DEPLOY, "deploy:read").status_code, 200)
            with Load(lambda: exchange(setup)) as load:
                load.wait_for(5)
                before = len(load.statuses)
                places = {"/var/lib/vouchsafe": str(state), "/var/backups/vouchsafe": str(copies)}
                printed = run_block(back_up, setup.folder, places)
                load.wait_for(5)
            self.assertEqual(set(load.statuses), {200})
            self.assertEqual(printed, "ok\n")
            (copy,) = copies.iterdir()
            self.assertEqual(copy.stat().st_mode & 0o077, 0)
            with sqlite3.connect(copy) as database:
                (rows,) = database.execute("SELECT count(*) FROM audit").fetchone()
            database.close()
            self.assertGreaterEqual(rows, before + 1)
            # Used after the copy was made.
            self.assertEqual(exchange(setup, later, DEPLOY, "deploy:read").status_code, 200)
            setup.processes.pop().stop()
            run_block(restore, setup.folder, {"/var/lib/vouchsafe": str(state)}, backup=str(copy))
            setup.start_broker("--danger-now", str(int(time.time()) + 60))
            self.assertIn("the database was last in use at", setup.logs())
            refused = exchange(setup, spent, DEPLOY, "deploy:read")
            self.assertIn("already used", refused.text)
            forgotten = exchange(setup, later, DEPLOY, "deploy:read")
            self.assertEqual(forgotten.json()["error"], "invalid_request")
            self.assertIn("replay.predates_store", setup.logs())


class Proxied(broker.Setup):
    """Two brokers on one state directory, behind nginx with deploy/nginx.conf."""

    def variables(self):
        return {**super().variables(), "trusted_proxies": "127.0.0.1", "forwarded_header": "x-forwarded-for"}

    def start(self):
        self.brokers = []
        super().start()

    def prepare(self, policies, issuer):
        self.broker = issuer.replace("http://", "https://")
        self.ports = [broker.free_port(), broker.free_port()]
        self.certificate = self.folder / "broker.pem"
        openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        openssl += ["-keyout", str(self.folder / "broker.key"), "-out", str(self.certificate)]
        subprocess.run([*openssl, "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        text = (broker.REPO / "deploy/nginx.conf").read_text()
        for old, new in {
            "listen 443 ssl": f"listen {self.broker.removeprefix('https://')} ssl",
            "    listen [::]:443 ssl;\n": "",
            "/etc/nginx/tls": str(self.folder),
            "127.0.0.1:3000": f"127.0.0.1:{self.ports[0]}",
            "# server 127.0.0.1:3001": f"server 127.0.0.1:{self.ports[1]}",
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        (self.folder / "vouchsafe.conf").write_text(text)
        places = "".join(
            f"{name}_temp_path {self.folder}/{name};\n" for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\npid {self.folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{places}include {self.folder}/vouchsafe.conf;\n}}\n"
        )

    def start_broker(self):
        for number in (0, 1):
            self.brokers.append(self.start_one(number))
        self.nginx = subprocess.Popen(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"])

    def start_one(self, number):
        variables = {"issuer": self.broker, "development": "true", **self.variables()}
        options = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        arguments = ["serve", "--manifest", "spin.toml", "--listen", f"127.0.0.1:{self.ports[number]}", "--policies", "policies"]
        log = self.folder / f"serve-{number}.log"
        self.processes.append(broker.Process([*arguments, "--state-dir", "state", *options], log, self.folder))
        return self.processes[-1]

    def restart(self, number):
        self.processes.remove(self.brokers[number])
        self.brokers[number].stop()
        self.brokers[number] = self.start_one(number)

    def __exit__(self, *_):
        if hasattr(self, "nginx"):
            self.nginx.terminate()
            self.nginx.wait()
        super().__exit__()


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Nginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = Proxied()
        cls.setup.__enter__()
        cls.addClassCleanup(cls.setup.__exit__)
        deadline = time.monotonic() + 30
        while True:
            try:
                cls.get("/.well-known/jwks.json")
                return
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)

    @classmethod
    def get(cls, path):
        return requests.get(f"{cls.setup.broker}{path}", timeout=10, verify=str(cls.setup.certificate))

    def exchange(self, *arguments, **options):
        return exchange(self.setup, *arguments, verify=str(self.setup.certificate), **options)

    def test_serves_only_public_routes(self):
        self.assertEqual(self.get("/.well-known/openid-configuration").json()["issuer"], self.setup.broker)
        for path in ("/readyz", "/healthz", "/metrics", "/", "/introspect", "/admin/revocations", "/token/", "/TOKEN", "/v/aws", "/v/aws/token"):
            self.assertEqual(self.get(path).status_code, 404, path)

    def test_replaces_headers_that_clients_send(self):
        forged = {"x-forwarded-for": "192.0.2.1, nonsense", "forwarded": "for=192.0.2.1"}
        self.assertEqual(self.exchange(headers=forged).status_code, 200)

    def test_shares_single_use_between_brokers(self):
        token, statuses = mint(self.setup), []
        for port in self.setup.ports:
            answer = exchange(
                self.setup, token, DEPLOY, "deploy:read", base=f"http://127.0.0.1:{port}", headers={"x-forwarded-for": "192.0.2.1"}
            )
            statuses.append(answer.status_code)
        self.assertEqual(statuses, [200, 400])

    def test_fails_no_request_while_brokers_restart_in_turn(self):
        # Slower than the rate limit.
        with Load(self.exchange, pause_seconds=0.06) as load:
            load.wait_for(3)
            for number in (0, 1):
                self.setup.restart(number)
                load.wait_for(3)
        self.assertEqual(set(load.statuses), {200}, load.statuses)

    def test_answers_429_as_oauth_clients_expect(self):
        # Another address, so that the limit does not reach the other tests.
        host, port = self.setup.broker.removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=self.setup.certificate)
        connection = http.client.HTTPSConnection(host, int(port), timeout=10, source_address=("127.0.0.2", 0), context=context)
        for _ in range(2000):
            connection.request("POST", "/token")
            limited = connection.getresponse()
            body = limited.read()
            if limited.status == 429:
                break
        connection.close()
        self.assertEqual(json.loads(body)["error"], "slow_down")
        self.assertEqual((limited.headers["retry-after"], limited.headers["content-type"]), ("1", "application/json"))
        self.assertEqual(self.get("/.well-known/jwks.json").status_code, 200, "keys are not limited")


class Unit(unittest.TestCase):
    unit = (broker.REPO / "deploy/vouchsafe.service").read_text()

    def analyze(self, file, *arguments):
        command = ["systemd-analyze", *arguments, file]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_units_pass_systemd_analyze(self):
        for name, program, page in [
            ("vouchsafe", broker.VOUCHSAFE, "operations/deploy.md"),
            ("hsm-gateway", broker.VOUCHSAFE.with_name("hsm-gateway"), "hsm/install.md"),
        ]:
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / f"{name}.service"
                unit = (broker.REPO / f"deploy/{name}.service").read_text()
                file.write_text(unit.replace(f"/usr/local/bin/{name}", str(program)))
                verified = self.analyze(file, "verify")
                self.assertEqual((verified.returncode, verified.stdout + verified.stderr), (0, ""), name)
                # systemd older than 250 scores only units that are installed.
                scored = self.analyze(file, "security", "--offline=true")
            if scored.returncode == 0:
                score = re.search(r"Overall exposure level for .*?: (\d+\.\d) ", scored.stdout)[1]
                documented = re.search(r"`systemd-analyze security`\s+scores it (\d+\.\d)", (pages.DOCS / page).read_text())[1]
                self.assertLessEqual(float(score), float(documented), name)

    def test_starts_a_broker_as_the_unit_does(self):
        """With the files that the page installs, and other places."""
        (install,) = [block for block in pages.blocks("operations/deploy.md") if block.heading == "As a service"]
        environment = re.search(r"^cat > /etc/vouchsafe/environment.*?^EOF$", install.text, re.MULTILINE | re.DOTALL)[0]
        with tempfile.TemporaryDirectory(prefix="vouchsafe-unit-") as folder:
            folder = pathlib.Path(folder)
            places = {"/etc": folder, "/var/lib": folder / "lib", "/var/cache": folder / "cache"}
            here = folder / "vouchsafe"
            here.mkdir()
            manifest = (broker.REPO / "spin.toml").read_text().replace('source = "target/', f'source = "{broker.REPO}/target/')
            (here / "spin.toml").write_text(manifest)
            shutil.copytree(broker.REPO / "policies", here / "policies")
            shutil.copy(broker.REPO / "deploy/spin-runtime.toml", here)
            secret = {**broker.Setup().variables(), "issuer": "https://broker.example"}
            (here / ".env").write_text("".join(f"SPIN_VARIABLE_{name.upper()}={value}\n" for name, value in secret.items()))
            (here / ".env").chmod(0o600)
            subprocess.run(["bash", "-euc", environment.replace("/etc/vouchsafe", str(here))], check=True, timeout=60)
            variables = dict(line.split("=", 1) for line in (here / "environment").read_text().splitlines())
            command = re.search(r"^ExecStart=(.*?[^\\])$", self.unit, re.MULTILINE | re.DOTALL)[1].replace("\\\n", " ")
            for old, new in places.items():
                command = re.sub(rf"(?<= ){re.escape(old)}(?=/)", str(new), command)
            for port in ("3000", "9464"):
                command = command.replace(f":{port}", f":{broker.free_port()}")
            arguments = command.split()
            self.assertEqual(arguments.pop(0), "/usr/local/bin/vouchsafe")
            process = broker.Process(arguments, folder / "log", here, environment={**os.environ, **variables})
            try:
                ready = requests.get(f"{process.url}/readyz", timeout=30)
            finally:
                process.stop()
            self.assertEqual(ready.status_code, 200, ready.text)
            self.assertEqual(ready.json()["issuer"], "https://broker.example")
            self.assertTrue((folder / "lib/vouchsafe/sqlite.db").exists())


if __name__ == "__main__":
    unittest.main()
