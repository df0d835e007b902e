"""nginx, Envoy, Traefik and Caddy, with the examples of deploy/forward-auth/, ask a broker about each token."""

import contextlib
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import requests

from broker import REPO, free_port
from test_revocation import BROKER, obtain

EXAMPLES = REPO / "deploy/forward-auth"
SUBJECT = "repo:octo-org/behind-a-proxy"


class Api:
    """The API behind the proxies; it takes every request."""

    def __init__(self):
        api = self
        self.requests = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                api.requests += 1
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def example(name, ports):
    """The example with other ports of loopback."""
    text = (EXAMPLES / name).read_text()
    for known, port in ports.items():
        for form in (f"127.0.0.1:{known}", f"port_value: {known}"):
            text = text.replace(form, form.replace(str(known), str(port)))
    return text


def nginx(folder, ports):
    temporary = " ".join(f"{name}_temp_path {folder};" for name in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
    config = folder / "nginx.conf"
    head = f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}} http {{ access_log off; {temporary}\n"
    config.write_text(f"{head}{example('nginx.conf', ports)}}}\n")
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-e", f"{folder}/log", "-c", config, *user]


def envoy(folder, ports):
    config = folder / "envoy.yaml"
    config.write_text(example("envoy.yaml", ports))
    return [from_pypi("envoy"), "-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]


def from_pypi(name):
    return shutil.which(name, path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")


def traefik(folder, ports):
    config = folder / "traefik.yaml"
    config.write_text(example("traefik.yaml", ports))
    static = (f"--entryPoints.api.address=127.0.0.1:{ports[8080]}", f"--providers.file.filename={config}")
    return [from_pypi("traefik"), *static, "--log.level=ERROR", "--global.checkNewVersion=false"]


def caddy(folder, ports):
    config = folder / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tpersist_config off\n}\n" + example("Caddyfile", ports))
    return ["env", f"HOME={folder}", from_pypi("caddy"), "run", "--config", config, "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "envoy": envoy, "traefik": traefik, "caddy": caddy}


class Proxy:
    """A proxy that asks the broker on `broker_port`."""

    def __init__(self, name, api, broker_port):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"vouchsafe-{name}-"))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = PROXIES[name](self.folder, {8080: port, 8000: api.port, 3000: broker_port})
        self.child = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while True:
            # Traefik listens before it knows any route.
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(self.url, timeout=10).status_code != 404:
                    return
            assert self.child.poll() is None and time.monotonic() < deadline, name
            time.sleep(0.01)

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=20)
        shutil.rmtree(self.folder)


class ForwardAuth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = Api()
        cls.addClassCleanup(cls.api.stop)
        broker_port = urllib.parse.urlsplit(BROKER).port
        cls.proxies = {name: cls.proxy(name, broker_port) for name in PROXIES}

    @classmethod
    def proxy(cls, name, broker_port):
        proxy = Proxy(name, cls.api, broker_port)
        cls.addClassCleanup(proxy.stop)
        return proxy

    def each(self, send, status, reaches_api, challenge=None):
        for name, proxy in self.proxies.items():
            with self.subTest(name):
                before = self.api.requests
                answer = send(proxy.url)
                self.assertEqual((answer.status_code, self.api.requests - before), (status, int(reaches_api)))
                if challenge:
                    self.assertTrue(answer.headers["www-authenticate"].startswith(challenge), answer.headers)

    def get(self, token, path="/things?a=1"):
        headers = {"authorization": f"Bearer {token}"}
        return lambda url: requests.get(f"{url}{path}", headers=headers, timeout=10)

    def test_valid_token_reaches_the_api(self):
        token = obtain(subject=SUBJECT)
        self.each(self.get(token), 200, True)
        headers = {"authorization": f"Bearer {token}"}
        self.each(lambda url: requests.post(f"{url}/things", data=b"x" * 1000, headers=headers, timeout=10), 200, True)

    def test_every_other_request_is_refused(self):
        self.each(lambda url: requests.get(url, timeout=10), 401, False, "Bearer")
        invalid = 'Bearer error="invalid_token"'
        self.each(self.get("a.b.c"), 401, False, invalid)
        other = obtain(audience="https://deploy.example", scope="deploy:read", subject=SUBJECT)
        self.each(self.get(other), 401, False, invalid)
        self.each(self.get(obtain(scope="write", subject=SUBJECT)), 403, False)

    def test_client_chooses_neither_audience_nor_scope(self):
        other = obtain(audience="https://deploy.example", scope="deploy:read", subject=SUBJECT)
        for path in ("/forward-auth/https%3A%2F%2Fdeploy.example", "/a/..%2Fhttps%3A%2F%2Fdeploy.example", "/?audience=https%3A%2F%2Fdeploy.example"):
            self.each(self.get(other, path), 401, False)

    def test_revoked_token_is_refused_at_once(self):
        token = obtain(subject=SUBJECT)
        self.each(self.get(token), 200, True)
        requests.post(f"{BROKER}/revoke", data={"token": token}, timeout=10).raise_for_status()
        self.each(self.get(token), 401, False)

    def test_nothing_passes_without_the_broker(self):
        token = obtain(subject=SUBJECT)
        for name, status in {"nginx": 500, "envoy": 403, "traefik": 500, "caddy": 502}.items():
            proxy = self.proxy(name, free_port())
            with self.subTest(name):
                before = self.api.requests
                answer = self.get(token)(proxy.url)
                self.assertEqual((answer.status_code, self.api.requests), (status, before))


class Recorder(Api):
    """In the broker's place: keeps the headers of the latest request, and refuses it for want of a nonce."""

    def __init__(self):
        super().__init__()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                recorder.headers = self.headers
                self.send_response(401)
                self.send_header("www-authenticate", 'DPoP error="use_dpop_nonce"')
                self.send_header("dpop-nonce", "n1")
                self.send_header("content-length", "0")
                self.end_headers()

            do_PUT = do_GET

        self.server.RequestHandlerClass = Handler


class ProofOfPossession(unittest.TestCase):
    """What the broker learns of the request that a proof is for (RFC 9449 §7)."""

    STATED = {"method": "PUT", "proto": "https", "host": "api.example", "uri": "/things?a=1"}

    def test_proxies_state_the_clients_request(self):
        recorder = Recorder()
        self.addCleanup(recorder.stop)
        # The examples of the others are for bearer tokens.
        for name in ("nginx", "envoy"):
            proxy = Proxy(name, recorder, recorder.port)
            self.addCleanup(proxy.stop)
            # A client that tries to state another request.
            forged = {f"x-forwarded-{part}": "forged" for part in self.STATED}
            headers = {"authorization": "DPoP a.b.c", "dpop": "d.e.f", **forged}
            answer = requests.put(f"{proxy.url}/things?a=1", data=b"x", headers=headers, timeout=10)
            with self.subTest(name):
                stated = {part: recorder.headers.get_all(f"x-forwarded-{part}") for part in self.STATED}
                self.assertEqual(stated, {part: [value] for part, value in self.STATED.items()})
                self.assertEqual(recorder.headers.get_all("dpop"), ["d.e.f"])
                self.assertEqual(recorder.headers.get_all("authorization"), ["DPoP a.b.c"])
                self.assertEqual((answer.status_code, answer.headers["dpop-nonce"]), (401, "n1"))


if __name__ == "__main__":
    unittest.main()
