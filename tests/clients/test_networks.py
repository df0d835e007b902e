"""`vouchsafe` in real networks: behind nginx with a private CA, through proxies, while the broker comes and goes."""

import contextlib
import datetime
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker import VOUCHSAFE, free_port
from fake_broker import DROP, STALL, FakeBroker, answer, issued
from test_commands import REFUSED, UNREACHABLE, WRONG_USE, run

OPTIONS = ("--audience", "https://api.example", "--scope", "read", "--subject-token-env", "PROOF")
DAY = datetime.timedelta(days=1)
UNAVAILABLE = answer(503, {"error": "temporarily_unavailable"})


def token(broker, *arguments, **environment):
    return run("token", "--broker", broker, *OPTIONS, *arguments, PROOF="aaa.bbb.ccc", **environment)


class Authority:
    """A private certificate authority."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corporate CA")])
        self.file = folder / "ca.pem"
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = self.builder(self.name, self.key, now - DAY, now + DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.write(self.file, builder)

    def builder(self, subject, key, first, last):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(first).not_valid_after(last)

    def write(self, file, builder):
        file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, name, days=1):
        """Writes a certificate for localhost and broker.test, and its key; returns nginx's directives."""
        key = ec.generate_private_key(ec.SECP256R1())
        last = datetime.datetime.now(datetime.timezone.utc) + days * DAY
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("broker.test")])
        builder = self.builder(subject, key, last - 10 * DAY, last).add_extension(names, critical=False)
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self.write(certificate, builder)
        private.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return f"ssl_certificate {certificate}; ssl_certificate_key {private};"


class Nginx:
    """nginx on loopback, with TLS, in front of `upstream`; `expired` is the same with an expired certificate."""

    def __init__(self, folder, authority, upstream):
        self.port, self.expired = free_port(), free_port()
        temporary = " ".join(f"{name}_temp_path {folder};" for name in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
        servers = [(self.port, authority.server("valid")), (self.expired, authority.server("expired", days=-1))]
        blocks = " ".join(
            f"server {{ listen 127.0.0.1:{port} ssl; {tls} location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}"
            for port, tls in servers
        )
        config = folder / "nginx.conf"
        config.write_text(f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}} http {{ access_log off; {temporary} {blocks} }}")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        self.child = subprocess.Popen([program, "-p", folder, "-e", f"{folder}/log", "-c", config, *user])
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.expired)):
                return
            assert self.child.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.01)

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=20)


class ConnectProxy:
    """A CONNECT proxy that reaches every host at one local port, or answers with `status`."""

    def __init__(self, port, status=200):
        self.target_port, self.status, self.heads = port, status, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:secret@127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.connect, args=(self.listener.accept()[0],), daemon=True).start()

    def connect(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.heads.append(head.decode())
        client.sendall(f"HTTP/1.1 {self.status} X\r\n\r\n".encode())
        if self.status != 200:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.target_port))
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self.pipe, args=(source, sink), daemon=True).start()

    @staticmethod
    def pipe(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.authority = Authority(cls.folder)
        cls.upstream = free_port()
        cls.nginx = Nginx(cls.folder, cls.authority, cls.upstream)
        cls.addClassCleanup(cls.nginx.stop)
        cls.ca = str(cls.authority.file)

    def broker(self, host="localhost", port=None, answers=()):
        url = f"https://{host}:{port or self.nginx.port}"
        return FakeBroker(answers=list(answers) or [issued()], port=self.upstream, url=url)

    def fails(self, done, code, *words):
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        for text in words:
            self.assertIn(text, done.stderr)

    def test_trusts_private_ca_by_flag_and_variables(self):
        directory = self.folder / "certificates"
        directory.mkdir()
        shutil.copy(self.ca, directory / "corporate.crt")
        with self.broker() as fake:
            self.assertEqual(token(fake.url, "--ca", self.ca).returncode, 0)
            for name, value in [("VOUCHSAFE_CA", self.ca), ("SSL_CERT_FILE", self.ca), ("SSL_CERT_DIR", str(directory))]:
                with self.subTest(name):
                    done = token(fake.url, **{name: value})
                    self.assertEqual((done.returncode, done.stdout), (0, "aaa.bbb.ccc\n"), done.stderr)

    def test_names_the_missing_ca_and_the_flag(self):
        with self.broker() as fake:
            done = token(fake.url)
            self.fails(done, UNREACHABLE, "is issued by `CN=Corporate CA`, which is unknown here", "--ca FILE", "SSL_CERT_FILE")
            # The token is not sent to a server that is not trusted, and a wrong certificate is not tried again.
            self.assertEqual(fake.forms, [])
            self.assertNotIn("tries", done.stderr)

    def test_names_expired_certificate_and_wrong_name(self):
        with self.broker(port=self.nginx.expired) as fake:
            self.fails(token(fake.url, "--ca", self.ca), UNREACHABLE, "the server's certificate expired on ", "clock")
        with self.broker(host="127.0.0.1") as fake:
            self.fails(token(fake.url, "--ca", self.ca), UNREACHABLE, "is for localhost, broker.test, not for 127.0.0.1")

    def test_reports_unusable_files_of_certificates(self):
        empty = self.folder / "empty.pem"
        empty.write_text("")
        self.fails(token("https://localhost:1", "--ca", str(empty)), WRONG_USE, "empty.pem: no certificate found")
        self.fails(token("https://localhost:1", "--ca", "/nonexistent"), WRONG_USE, "/nonexistent: No such file")
        self.fails(token("https://localhost:1", SSL_CERT_FILE="/nonexistent"), WRONG_USE, "SSL_CERT_FILE: ", "/nonexistent")

    def test_every_command_takes_the_ca(self):
        with self.broker() as fake:
            tail = ("--broker", fake.url, "--audience", "https://api.example", "--ca", self.ca)
            # The fake has no keys and is no dev issuer: what counts is that the commands get that far.
            self.fails(run("verify", *tail, "a.b.c"), REFUSED, "invalid token")
            done = run("probe", *tail, "--subject-token-env", "PROOF", PROOF="e30.e30.YWFh")
            self.assertEqual(done.returncode, REFUSED, done.stderr)
            done = run("dev-issuer", "mint", "--issuer", fake.url, "--audience", "a", "--ca", self.ca)
            self.fails(done, REFUSED, "the dev issuer refused")

    def test_reaches_broker_through_proxy(self):
        with self.broker(host="broker.test") as fake, ConnectProxy(self.nginx.port) as proxy:
            for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
                done = token(fake.url, "--ca", self.ca, **{name: proxy.url})
                self.assertEqual((done.returncode, done.stdout), (0, "aaa.bbb.ccc\n"), done.stderr)
            self.assertIn(f"CONNECT broker.test:{self.nginx.port} ", proxy.heads[0])
            self.assertIn("Proxy-Authorization: Basic ", proxy.heads[0])

    def test_names_the_dead_proxy_without_its_password(self):
        proxy = f"http://user:secret@127.0.0.1:{free_port()}"
        done = token("https://broker.test", "--retries", "0", HTTPS_PROXY=proxy)
        self.fails(done, UNREACHABLE, "through the proxy of HTTPS_PROXY: Connection refused", "NO_PROXY")
        self.assertNotIn("secret", done.stderr)
        self.fails(token("https://broker.test", HTTPS_PROXY="nonsense://x"), WRONG_USE, "HTTPS_PROXY is not the URL of a proxy")

    def test_retries_only_temporary_errors_of_proxies(self):
        for status, tries in [(502, 2), (407, 1)]:
            with self.subTest(status), ConnectProxy(self.nginx.port, status) as proxy:
                done = token("https://broker.test", "--retries", "1", HTTPS_PROXY=proxy.url)
                self.fails(done, UNREACHABLE, "through the proxy of HTTPS_PROXY", str(status))
                self.assertEqual(len(proxy.heads), tries)

    def test_no_proxy_and_loopback_are_direct(self):
        with self.broker() as fake, ConnectProxy(1, 503) as proxy:
            self.assertEqual(token(fake.url, "--ca", self.ca, HTTPS_PROXY=proxy.url).returncode, 0)
            done = token("https://broker.invalid", "--retries", "0", HTTPS_PROXY=proxy.url, NO_PROXY=".invalid")
            self.assertEqual(done.returncode, UNREACHABLE)
            self.assertEqual(proxy.heads, [])

    def test_survives_broker_that_is_down_behind_nginx(self):
        # nginx answers 502 until the broker is there.
        url = f"https://localhost:{self.nginx.port}"
        with Waiting(url, "--ca", self.ca) as waiting:
            self.assertIn("returned status 502; trying again", waiting.first_line)
            with self.broker():
                self.assertEqual(waiting.result(), (0, "aaa.bbb.ccc\n"))


class Waiting:
    """A client whose first attempt has failed, and who tries again."""

    def __init__(self, broker, *arguments):
        environment = {"PATH": os.environ["PATH"], "PROOF": "aaa.bbb.ccc"}
        self.child = subprocess.Popen(
            [VOUCHSAFE, "token", "--broker", broker, *OPTIONS, *arguments], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self):
        self.first_line = self.child.stderr.readline()
        return self

    def result(self):
        stdout, _ = self.child.communicate(timeout=60)
        return self.child.returncode, stdout

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()


class Retries(unittest.TestCase):
    def fails(self, done, words):
        self.assertEqual((done.returncode, done.stdout), (UNREACHABLE, ""), done.stderr)
        self.assertIn(words, done.stderr)

    def test_survives_broker_that_is_not_there_yet(self):
        port = free_port()
        with Waiting(f"http://127.0.0.1:{port}") as waiting:
            self.assertIn("Connection refused", waiting.first_line)
            with FakeBroker(answers=[issued()], port=port):
                self.assertEqual(waiting.result(), (0, "aaa.bbb.ccc\n"))

    def test_tries_again_after_temporary_answers(self):
        page = b"<html>"
        for first in [(429, {}, page), (502, {}, page), (503, {}, page), (504, {}, page), UNAVAILABLE, DROP]:
            with self.subTest(first), FakeBroker(answers=[first, issued()]) as fake:
                done = token(fake.url)
                self.assertEqual((done.returncode, done.stdout), (0, "aaa.bbb.ccc\n"), done.stderr)
                self.assertEqual(len(fake.forms), 2)

    def test_gives_up_after_the_given_retries(self):
        with FakeBroker(answers=[UNAVAILABLE]) as fake:
            self.fails(token(fake.url, "--retries", "1"), "the broker made no decision: temporarily_unavailable (2 tries)")
            self.assertEqual(len(fake.forms), 2)
            self.fails(token(fake.url, VOUCHSAFE_RETRIES="0"), "temporarily_unavailable")
            self.assertEqual(len(fake.forms), 3)

    def test_limited_client_is_told_how_long_to_wait(self):
        for body in (b"<html>", b'{"error":"slow_down"}'):
            with self.subTest(body), FakeBroker(answers=[(429, {"retry-after": "3600"}, body)]) as fake:
                self.fails(token(fake.url), "too many requests: ")
                self.fails(token(fake.url), "; asked to wait 3600 s")
                # There is no time for that, so it doesn't wait at all.
                self.assertEqual(len(fake.forms), 2)

    def test_does_not_retry_decisions(self):
        for status, code in ((400, REFUSED), (401, REFUSED), (403, REFUSED), (500, UNREACHABLE)):
            with self.subTest(status), FakeBroker(answers=[answer(status, {"error": "invalid_request"})]) as fake:
                self.assertEqual(token(fake.url).returncode, code)
                self.assertEqual(len(fake.forms), 1)

    def test_timeout_ends_a_silent_broker(self):
        with FakeBroker(answers=[STALL]) as fake:
            done = token(fake.url, "--timeout", "1s")
            self.fails(done, "the command's 1 s are over")
            self.assertIn("hint: --timeout sets how long the command may take", done.stderr)

    def test_spent_token_may_be_of_an_earlier_try(self):
        text = "the subject token cannot be used: the token was already used"
        spent = answer(400, {"error": "invalid_request", "error_description": text})
        for first, words in [(DROP, "an earlier try, whose answer was lost"), (None, "get a new token from the platform")]:
            with self.subTest(words), FakeBroker(answers=[first, spent] if first else [spent]) as fake:
                done = token(fake.url)
                self.assertEqual(done.returncode, REFUSED)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
