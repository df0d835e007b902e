"""Brokers on hosts of their own, two PostgreSQL servers, and an issuer."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

import history
import issuer
import network
import postgres

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
VOUCHSAFE = pathlib.Path(os.environ.get("VOUCHSAFE_BIN", REPO / "target/debug/vouchsafe"))
COMPONENTS = REPO / "target/wasm32-wasip2/component"
# The broker's own URL, which is the audience of subject tokens. All brokers have it, whatever address they listen on.
BROKER, PORT = "http://127.0.0.1:3000", 3000
# In the repository's bundle: each subject token can be exchanged once for it.
AUDIENCE, SCOPE = "https://deploy.example", "deploy:write"
ROOT = "aG9zdHMtdGVzdHMtb25seS1ub3QtYS1zZWNyZXQtMDAwMQ"
ANSWER_SECONDS_MAX = 10
# The workload that administers the broker.
ADMINISTRATOR = "777"
ADMINISTRATION = f"""
@id("administration")
permit (principal is GitHub::Workflow in Issuer::"dev", action == Action::"issue", resource == Audience::"{BROKER}/admin")
when {{ principal.repository_id == "{ADMINISTRATOR}" && ["revoke"].containsAll(context.scopes) }};
"""
LEASE_LOG = """
CREATE TABLE lease_log (name text, broker text, at bigint, until bigint);
CREATE FUNCTION log_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO lease_log VALUES (NEW.name, host(inet_client_addr()), clock_ms(), NEW.expires_at_ms); RETURN NEW; END $$;
CREATE TRIGGER log_lease AFTER INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION log_lease();
"""
# Makes every history of the database look like the same one.
NO_INCARNATION = """
CREATE OR REPLACE FUNCTION incarnation() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT 'always the same' $$;
UPDATE mark SET incarnation = incarnation();
"""


def decode(jwt):
    payload = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def with_unknown_key(jwt):
    """The token with a `kid` that its issuer doesn't publish, so that brokers fetch the keys."""
    header, rest = jwt.split(".", 1)
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    forged = json.dumps({**fields, "kid": "unknown"}).encode()
    return base64.urlsafe_b64encode(forged).decode().rstrip("=") + "." + rest


def post(address, port, path, body, content="application/x-www-form-urlencoded", **headers):
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("POST", path, body, {"content-type": content, **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Broker:
    """`vouchsafe serve` on a host."""

    def __init__(self, cluster, host):
        self.cluster, self.host = cluster, host
        self.child, self.generation, self.skew_seconds = None, 1, 0
        self.log = cluster.folder / f"{host.name}.log"
        self.fetches = cluster.serve_issuer(host)

    def start(self, wait=True):
        options = [
            *("--manifest", "spin.toml", "--policies", "policies", "--runtime-config-file", "runtime.toml"),
            *("--listen", f"{self.host.address}:{PORT}", "--state-dir", f"state-{self.host.name}"),
            *("--env", f"POSTGRES_ADDRESS={self.cluster.address}", "--wait-ready", "5m"),
        ]
        variables = {"issuer": BROKER, "development": "true", "signer_root": ROOT, "signer_generation": self.generation}
        options += [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        if self.skew_seconds:
            options += ["--danger-now", int(time.time()) + self.skew_seconds]
        with open(self.log, "ab") as log:
            command = self.host.command(VOUCHSAFE, "serve", *options)
            self.child = self.cluster.spawn(command, stdout=subprocess.PIPE, stderr=log, text=True)
        if wait:
            self.wait()

    def wait(self):
        line = self.child.stdout.readline()
        assert line.startswith("listening on "), f"{self.host.name} did not start:\n{self.log.read_text()[-2000:]}"

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=30)

    def exchange(self, name, token):
        return exchange(self.host, name, token)


def ask(host, token, audience, scope):
    """The status and the members of the answer of the broker on `host`; 0 if there is none."""
    grant = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": token,
        "audience": audience,
        "scope": scope,
    }
    try:
        status, text = post(host.address, PORT, "/token", urllib.parse.urlencode(grant))
    except (OSError, http.client.HTTPException):
        return 0, {}
    return status, json.loads(text)


def exchange(host, name, token):
    """Exchanges a token at the broker on `host`, and says what the answer means for its use."""
    sent, answer, decision = time.monotonic(), history.UNKNOWN, ""
    status, members = ask(host, token, AUDIENCE, SCOPE)
    if status == 200:
        answer, decision = history.ISSUED, decode(members["access_token"])["jti"]
    reason = members.get("error_description", "")
    if 400 <= status < 500:
        answer = history.SPENT if "already used" in reason else history.REFUSED
    return history.Exchange(name, host.name, sent, time.monotonic(), answer, decision, reason)


def block(host, administrator, subject):
    """Whether the broker on `host` confirms that it blocks a subject."""
    status, members = ask(host, administrator, f"{BROKER}/admin", "revoke")
    if status != 200:
        return False
    order = {"id": subject.replace(" ", "-"), "reason": "test", "issuer": "dev", "subject": subject, "block": True}
    bearer = {"authorization": f"Bearer {members['access_token']}"}
    try:
        status, _ = post(host.address, PORT, "/admin/revocations", json.dumps(order), "application/json", **bearer)
    except (OSError, http.client.HTTPException):
        return False
    return status == 200


class Cluster:
    """Everything, in a folder."""

    def __init__(self, folder, brokers=("one", "two", "three"), synchronous=True, incarnation=True):
        self.folder = folder
        self.children, self.minted = [], 0
        # The servers run as another user.
        folder.chmod(0o755)
        self.network = network.Network()
        self.start_issuer()
        self.authority = postgres.Authority(folder)
        names = "ANY 1 (a, b)" if synchronous else ""
        servers = [postgres.Server(self.network.host(name), folder, self.authority, names) for name in ("a", "b")]
        self.primary, self.standby = servers
        self.address = servers[0].address(servers[1])
        self.configure(servers)
        self.primary.create()
        self.migrate()
        self.primary.sql(LEASE_LOG)
        if not incarnation:
            self.primary.sql(NO_INCARNATION)
        self.standby.follow(self.primary)
        # With its own settings: from here on, commits wait for the standby.
        self.primary.restart()
        self.brokers = [Broker(self, self.network.host(name)) for name in brokers]
        # The first one compiles the components for all, unless that is done.
        for broker in self.brokers[:1]:
            broker.start()
        for broker in self.brokers[1:]:
            broker.start(wait=False)
        for broker in self.brokers[1:]:
            broker.wait()

    def spawn(self, command, **options):
        child = subprocess.Popen(list(map(str, command)), cwd=self.folder, stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def start_issuer(self):
        """Mints tokens here, and keeps its documents for the hosts."""
        with open(self.folder / "issuer.log", "ab") as log:
            child = self.spawn([VOUCHSAFE, "dev-issuer"], stdout=subprocess.PIPE, stderr=log, text=True)
        assert child.stdout.readline().startswith("listening on "), (self.folder / "issuer.log").read_text()
        documents = {}
        for path in (issuer.CONFIGURATION, issuer.KEYS):
            connection = http.client.HTTPConnection(*issuer.ADDRESS, timeout=ANSWER_SECONDS_MAX)
            connection.request("GET", path)
            documents[path] = connection.getresponse().read().decode()
        self.documents = self.folder / "documents.json"
        self.documents.write_text(json.dumps(documents))

    def serve_issuer(self, host):
        """Serves the issuer's documents on a host. Returns the file with the times at which its keys are fetched."""
        fetches = self.folder / f"{host.name}.fetches"
        fetches.touch()
        self.spawn(host.command(sys.executable, HERE / "issuer.py", self.documents, fetches))
        return fetches

    def configure(self, servers):
        databases = [f"postgres://{server.host.address}:{postgres.PORT}" for server in servers]
        hosts = ", ".join(f'"{host}"' for host in ["http://127.0.0.1:7000", "https://token.actions.githubusercontent.com", *databases])
        lines = []
        for line in (REPO / "spin.postgres.toml").read_text().splitlines():
            if line.startswith("allowed_outbound_hosts = "):
                line = f"allowed_outbound_hosts = [{hosts}]"
            lines.append(line.replace('source = "target/', f'source = "{REPO}/target/'))
        (self.folder / "spin.toml").write_text("\n".join(lines) + "\n")
        policies = self.folder / "policies"
        shutil.copytree(REPO / "policies", policies)
        (policies / "audiences/admin.toml").write_text(f'id = "{BROKER}/admin"\nscopes = ["revoke"]\n')
        (policies / "rules/administration.cedar").write_text(ADMINISTRATION)
        names = ", ".join(f'"{server.host.address}"' for server in servers)
        (self.folder / "runtime.toml").write_text(
            f'[[client_tls]]\ncomponent_ids = ["broker"]\nhosts = [{names}]\nca_roots_file = "{self.authority.certificate}"\n'
        )

    def migrate(self):
        command = [VOUCHSAFE, "store", "migrate", "--apply", "--address", self.primary.address()]
        command += ["--runtime-config-file", self.folder / "runtime.toml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def mint(self, **claims):
        """A token with a subject of its own: brokers answer 429 to a subject that is denied often."""
        self.minted += 1
        form = {"aud": BROKER, "sub": f"workload {self.minted}", **claims}
        status, text = post(*issuer.ADDRESS, "/mint", urllib.parse.urlencode(form))
        assert status == 200, text
        return json.loads(text)["token"]

    def fail_over(self):
        """Stops the primary, promotes the standby, and makes the old primary its standby."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        self.standby.follow(self.primary)

    def records(self):
        rows = self.primary.sql("SELECT decision_id || ' ' || generation FROM audit WHERE outcome = 'issued'").splitlines()
        return [history.Record(decision, int(generation)) for decision, generation in (row.split() for row in rows)]

    def fetches(self):
        """How often each broker fetched the issuer's keys."""
        return {broker.host.address: len(broker.fetches.read_text().splitlines()) for broker in self.brokers}

    def grants(self):
        rows = self.primary.sql("SELECT name || '|' || broker || '|' || at || '|' || until FROM lease_log").splitlines()
        parts = [row.split("|") for row in rows]
        return [history.Grant(name, broker, int(at), int(until)) for name, broker, at, until in parts]

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        for server in (self.primary, self.standby):
            server.control("-m", "immediate", "stop", check=False)
        self.network.close()
