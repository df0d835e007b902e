"""`vouchsafe credential` and token files, used by the tools that they are for."""

import base64
import datetime
import http.server
import ipaddress
import json
import os
import pathlib
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import pages
from broker import KUBECTL, VOUCHSAFE
from fake_broker import FakeBroker, answer, issued
from fake_sts import ACCOUNT, FakeSts
from test_commands import REFUSED, WRONG_USE, clean_environment, run

REFUSAL = answer(400, {"error": "invalid_target", "error_description": "no such audience"})
PROOF = "aaa.bbb.ccc"
DAY = datetime.timedelta(days=1)
# A platform that is recognized, so that commands of the page run as they stand.
PLATFORM = {"SEMAPHORE_OIDC_TOKEN": PROOF}


def self_signed(folder):
    """A certificate for 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY).add_extension(address, critical=False)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file


class Server:
    """An HTTP server that answers with `respond(path, headers, body)`, and keeps the `authorization` of each request."""

    def __init__(self, respond, certificate=None):
        self.authorizations = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                service.authorizations.append(self.headers.get("authorization"))
                status, headers, content = respond(self.path, self.headers, body)
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_POST = do_HEAD = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Tool(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.fake = self.enterContext(FakeBroker(answers=[issued("to.ken.1", 300)]))

        self.programs = self.folder / "programs"
        self.programs.mkdir()
        (self.programs / "vouchsafe").symlink_to(VOUCHSAFE)

    def page(self, heading, language, **replacements):
        """The block of docs/outputs.md, with the addresses of this test."""
        (block,) = [it for it in pages.blocks("outputs.md") if (it.heading, it.language) == (heading, language)]
        text = block.text.replace("https://broker.example", self.fake.url)
        for old, new in replacements.items():
            old = f"{old.replace('_', '.')}.example"
            self.assertIn(old, text)
            text = text.replace(old, new)
        return text

    def options(self):
        return ("--broker", self.fake.url, "--audience", "https://api.example", "--scope", "read")

    def credential(self, tool, *arguments, stdin="", **environment):
        return run("credential", tool, *self.options(), *arguments, stdin=stdin, **PLATFORM, **environment)

    def execute(self, *command, stdin=None, **environment):
        path = f"{self.programs}:{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder), **PLATFORM}
        environment = clean_environment(**own, **environment)
        return subprocess.run(
            command, env=environment, cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )


class Kubectl(Tool):
    """An API server that answers every request with an empty list of pods."""

    def pods(self, version="v1"):
        user = yaml.safe_load(self.page("kubectl", "yaml"))
        user["users"][0]["user"]["exec"]["apiVersion"] = f"client.authentication.k8s.io/{version}"
        kubeconfig = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "job"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"https://{self.server.host}", "certificate-authority": str(self.certificate)}}],
        }  # fmt: skip
        file = self.folder / "kubeconfig"
        file.write_text(json.dumps({**kubeconfig, **user}))
        return self.execute(KUBECTL, "--kubeconfig", str(file), "get", "--raw", "/api/v1/pods")

    def setUp(self):
        super().setUp()
        # kubectl sends credentials over TLS only.
        self.certificate = self_signed(self.folder)
        pods = (200, {"content-type": "application/json"}, b'{"items":[]}')
        self.server = self.enterContext(Server(lambda *_: pods, self.certificate))

    def test_sends_the_token(self):
        done = self.pods()
        self.assertEqual((done.returncode, done.stdout), (0, '{"items":[]}'), done.stderr)
        self.assertEqual(set(self.server.authorizations), {"Bearer to.ken.1"})

    def test_refusal_reaches_the_user(self):
        self.fake.answers = [REFUSAL]
        done = self.pods()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the broker refused: invalid_target", done.stderr)
        self.assertEqual(self.server.authorizations, [])

    def test_other_versions_are_refused(self):
        done = self.pods(version="v1beta1")
        self.assertIn("set `apiVersion: client.authentication.k8s.io/v1` in the kubeconfig's `exec`", done.stderr)
        self.assertEqual(self.fake.forms, [])


class KubectlFormat(Tool):
    def test_names_the_end_of_the_token(self):
        found = json.loads(self.credential("kubectl").stdout)
        end = datetime.datetime.fromisoformat(found["status"].pop("expirationTimestamp"))
        left = end - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(200 < left.total_seconds() <= 300, left)
        expected = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "to.ken.1"}}
        self.assertEqual(found, expected)


class Aws(Tool):
    ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"

    def setUp(self):
        super().setUp()
        self.sts = self.enterContext(FakeSts())
        (self.folder / ".aws").mkdir()
        (self.folder / ".aws/config").write_text(self.page("AWS", "ini"))

    SCRIPT = "import boto3; print(boto3.client('sts').get_caller_identity()['UserId'])"

    def aws(self, *command):
        """Runs boto3 in a process of its own. It asks the fake STS who it is."""
        return self.execute(*command, AWS_ENDPOINT_URL_STS=self.sts.url, AWS_EC2_METADATA_DISABLED="true", VOUCHSAFE_RETRIES="0")

    def caller(self):
        return self.aws(sys.executable, "-c", self.SCRIPT)

    def test_sdk_assumes_the_role_by_credential_process(self):
        done = self.caller()
        self.assertEqual((done.returncode, done.stdout), (0, "ASIATOKEN1\n"), done.stderr)
        assumed = self.sts.requests[0]
        expected = {"RoleArn": self.ROLE, "RoleSessionName": "vouchsafe", "WebIdentityToken": "to.ken.1", "DurationSeconds": "900"}
        self.assertEqual(assumed, expected)

    def test_output_is_what_the_sdk_reads(self):
        done = self.credential("aws", "--role-arn", self.ROLE, "--region", "eu-central-1", "--sts-endpoint", self.sts.url)
        found = json.loads(done.stdout)
        self.assertEqual(sorted(found), ["AccessKeyId", "AccountId", "Expiration", "SecretAccessKey", "SessionToken", "Version"])
        self.assertEqual((found["Version"], found["AccountId"]), (1, ACCOUNT))

    def test_refusal_of_sts_reaches_the_user(self):
        self.sts.error = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        done = self.caller()
        self.assertIn("AWS STS refused: AccessDenied: Not authorized to perform", done.stderr)
        self.sts.error = (400, "IDPCommunicationError", "keys")
        self.assertIn("AWS STS did not answer: IDPCommunicationError: keys", self.caller().stderr)

    def test_too_short_a_session_is_refused(self):
        self.sts.error = (400, "ValidationError", "must be >= 900")
        done = self.credential("aws", "--role-arn", self.ROLE, "--region", "x-1", "--sts-endpoint", self.sts.url, "--session-duration", "60s")
        self.assertEqual((done.returncode, done.stdout), (REFUSED, ""))

    def test_region_is_no_part_of_a_url(self):
        done = self.credential("aws", "--role-arn", self.ROLE, "--region", "evil.example/")
        self.assertEqual((done.returncode, self.fake.forms), (WRONG_USE, []))

    def test_web_identity_file_with_exec(self):
        (self.folder / ".aws/config").write_text("[default]\nregion = eu-central-1\n")
        script = self.page("AWS", "sh").replace("aws s3 sync site s3://bucket", shlex.join((sys.executable, "-c", self.SCRIPT)))
        done = self.aws("bash", "-ec", script)
        self.assertEqual((done.returncode, done.stdout), (0, "ASIATOKEN1\n"), done.stderr)
        self.assertEqual(self.sts.requests[0]["WebIdentityToken"], "to.ken.1")


class Azure(Tool):
    """Microsoft Entra's token endpoint: it answers with the federated token that it got."""

    def answer(self, path, _, body):
        base = f"https://{self.server.host}/00000000-0000-0000-0000-000000000001"
        if path.endswith("/openid-configuration"):
            metadata = {"issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"}
            return 200, {"content-type": "application/json"}, json.dumps(metadata).encode()
        self.form = dict(urllib.parse.parse_qsl(body.decode()))
        answer = {"access_token": "azu.re.1", "token_type": "Bearer", "expires_in": 300}
        return 200, {"content-type": "application/json"}, json.dumps(answer).encode()

    def test_library_reads_the_federated_token_file(self):
        certificate = self_signed(self.folder)
        self.server = self.enterContext(Server(self.answer, certificate))
        script = (
            "import sys, azure.identity as a\n"
            "c = a.WorkloadIdentityCredential(disable_instance_discovery=True, connection_verify=sys.argv[1])\n"
            "print(c.get_token('https://management.azure.com/.default').token)"
        )
        script = self.page("Azure", "sh").replace("./deploy.sh", shlex.join((sys.executable, "-c", script, str(certificate))))
        done = self.execute("bash", "-ec", script, AZURE_AUTHORITY_HOST=f"https://{self.server.host}")
        self.assertEqual((done.returncode, done.stdout), (0, "azu.re.1\n"), done.stderr)
        self.assertEqual(self.form["client_assertion"], "to.ken.1")
        self.assertEqual(self.form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")


class Google(Tool):
    def token(self, **environment):
        """The token that google-auth gets from Google's token service, which a fake broker is here."""
        configuration = self.page("Google Cloud", "json").replace("https://sts.googleapis.com/v1/token", f"{self.google.url}/token")
        file = self.folder / "credentials.json"
        file.write_text(configuration)
        script = (
            "import sys, google.auth.pluggable as p, google.auth.transport.requests as t\n"
            "c = p.Credentials.from_file(sys.argv[1], scopes=['s'])\n"
            "c.refresh(t.Request())\nprint(c.token)"
        )
        allowed = {"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1", **environment}
        return self.execute(sys.executable, "-c", script, str(file), **allowed)

    def setUp(self):
        super().setUp()
        self.google = self.enterContext(FakeBroker(answers=[issued("goo.gle.1", 300)]))

    def test_library_exchanges_the_token(self):
        done = self.token()
        self.assertEqual((done.returncode, done.stdout), (0, "goo.gle.1\n"), done.stderr)
        self.assertIn("subject_token=to.ken.1", self.google.forms[0])

    def test_notes_and_masks_dont_spoil_the_answer(self):
        # The library reads standard error as part of the answer.
        done = self.token(TF_BUILD="True")
        self.assertEqual(done.stdout, "goo.gle.1\n", done.stderr)

    def test_library_shows_the_refusal(self):
        self.fake.answers = [REFUSAL]
        done = self.token()
        self.assertIn("Executable returned unsuccessful response: code: 1, message: the broker refused: invalid_target", done.stderr)
        self.assertEqual(self.google.forms, [])


class Git(Tool):
    def setUp(self):
        super().setUp()
        source, self.bare = self.folder / "source", self.folder / "served.git"
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@a.example")
        for command in [
            ("git", "init", "-q", str(source)),
            (*git, "-C", str(source), "commit", "-q", "--allow-empty", "-m", "a"),
            ("git", "clone", "-q", "--bare", str(source), str(self.bare)),
            ("git", "-C", str(self.bare), "update-server-info"),
        ]:
            done = self.execute(*command)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.expected = "Basic " + base64.b64encode(b"x-access-token:to.ken.1").decode()
        self.server = self.enterContext(Server(self.serve))

    def serve(self, path, headers, _):
        if headers.get("authorization") != self.expected:
            return 401, {"www-authenticate": 'Basic realm="git", Bearer'}, b""
        file = self.bare / path.split("?")[0].lstrip("/").removeprefix("r.git/")
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")

    def git(self, *command, host=None, options=()):
        script = self.page("git", "sh", **{"https://git": f"http://{self.server.host}"})
        script = script.replace("git.example'", shlex.join((host or self.server.host, *options)) + "'")
        configured = self.execute("bash", "-ec", script)
        self.assertEqual(configured.returncode, 0, configured.stderr)
        return self.execute("git", *command, f"http://{self.server.host}/r.git", GIT_TERMINAL_PROMPT="0")

    def test_clones_with_the_token_as_password(self):
        done = self.git("clone", "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.authorizations[-1], self.expected)

    def test_lists_references_with_a_bearer_token(self):
        self.expected = "Bearer to.ken.1"
        done = self.git("ls-remote", options=("--bearer",))
        if "cannot send `Authorization: Bearer`" in done.stderr:
            self.skipTest("this git is older than 2.46")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.authorizations[-1], self.expected)

    def test_other_hosts_get_nothing(self):
        done = self.git("ls-remote", host="git.example")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.server.authorizations, [None])
        self.assertEqual(self.fake.forms, [])

    def test_storing_and_erasing_do_nothing(self):
        for action in ("store", "erase", "future-action"):
            done = self.credential("git", "--host", self.server.host, action, stdin=f"protocol=http\nhost={self.server.host}\n")
            self.assertEqual((done.returncode, done.stdout, self.fake.forms), (0, "", []))

    def test_user_name_has_no_line_break(self):
        done = self.credential("git", "--host", "git.example", "--username", "a\npassword=b", "get", stdin="")
        self.assertEqual(done.returncode, WRONG_USE)


class Docker(Tool):
    def setUp(self):
        super().setUp()
        self.expected = "Basic " + base64.b64encode(b"vouchsafe:to.ken.1").decode()
        self.server = self.enterContext(Server(self.serve, self_signed(self.folder)))
        program = self.programs / "docker-credential-vouchsafe"
        program.write_text(self.page("Container registries", "sh", registry=self.server.host))
        program.chmod(0o755)

    def serve(self, path, headers, _):
        if headers.get("authorization") != self.expected:
            return 401, {"www-authenticate": 'Basic realm="registry"', "docker-distribution-api-version": "registry/2.0"}, b"{}"
        manifest = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
        kind = {"content-type": "application/vnd.oci.image.index.v1+json", "docker-distribution-api-version": "registry/2.0"}
        return (200, kind, manifest) if "/manifests/" in path else (200, kind, b"{}")

    def tool(self, *command):
        configuration = self.page("Container registries", "json", registry=self.server.host)
        (self.folder / "config.json").write_text(configuration)
        (self.folder / "auth.json").write_text(configuration)
        return self.execute(*command, DOCKER_CONFIG=str(self.folder), REGISTRY_AUTH_FILE=str(self.folder / "auth.json"))

    def test_skopeo_reads_an_image_index(self):
        done = self.tool("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{self.server.host}/team/app:1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"manifests":[]', done.stdout)

    @unittest.skipUnless(shutil.which("docker"), "the Docker client is not installed")
    def test_docker_reads_an_image_index(self):
        done = self.tool("docker", "manifest", "inspect", "--insecure", f"{self.server.host}/team/app:1")
        self.assertIn(self.expected, self.server.authorizations, done.stderr)

    def test_answers_in_the_protocol_of_helpers(self):
        arguments = ("--registry", "registry.example")
        for server in ("registry.example", "https://registry.example/v2/"):
            done = self.credential("docker", *arguments, "get", stdin=f"{server}\n")
            self.assertEqual(json.loads(done.stdout), {"ServerURL": server, "Username": "vouchsafe", "Secret": "to.ken.1"})
        done = self.credential("docker", *arguments, "list")
        self.assertEqual(json.loads(done.stdout), {"registry.example": "vouchsafe"})
        self.assertEqual(self.credential("docker", *arguments, "erase", stdin="registry.example").returncode, 0)
        self.assertEqual(self.credential("docker", *arguments, "store", stdin="{}").returncode, REFUSED)

    def test_other_registries_get_nothing(self):
        for server in ("evil.example", "registry.example.evil", "registry.example:444", "http://registry.example"):
            done = self.credential("docker", "--registry", "registry.example", "get", stdin=server)
            # The words by which clients recognize that there is no credential.
            self.assertEqual((done.returncode, done.stdout), (REFUSED, "credentials not found in native keychain\n"))
        self.assertEqual(self.fake.forms, [])

    def test_refusal_is_on_standard_output(self):
        self.fake.answers = [REFUSAL]
        done = self.credential("docker", "--registry", "registry.example", "get", stdin="registry.example")
        self.assertEqual((done.returncode, done.stdout), (REFUSED, "the broker refused: invalid_target: no such audience\n"))


class Kubelet(Tool):
    """The kubelet itself is not available here: requests and answers are those of its API, version 1."""

    def provide(self, **changes):
        (provider,) = yaml.safe_load(self.page("kubelet", "yaml"))["providers"]
        request = {
            "apiVersion": provider["apiVersion"], "kind": "CredentialProviderRequest",
            "image": "registry.example/team/app:1", "serviceAccountToken": "po.d.token", "serviceAccountAnnotations": {},
        }  # fmt: skip
        return run(*provider["args"], stdin=json.dumps({**request, **changes}), **PLATFORM)

    def test_exchanges_the_pods_token(self):
        done = self.provide()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
            "cacheKeyType": "Registry", "cacheDuration": "240s",
            "auth": {"registry.example": {"username": "vouchsafe", "password": "to.ken.1"}},
        })  # fmt: skip
        self.assertIn("subject_token=po.d.token", self.fake.forms[0])

    def test_never_uses_the_identity_of_the_node(self):
        done = self.provide(serviceAccountToken="")
        self.assertEqual((done.returncode, done.stdout, self.fake.forms), (WRONG_USE, "", []))
        done = self.provide(image="evil.example/app")
        self.assertEqual((done.returncode, done.stdout, self.fake.forms), (REFUSED, "", []))

    def test_large_requests_are_refused(self):
        done = self.provide(image="registry.example/" + "a" * 70000)
        self.assertEqual((done.returncode, self.fake.forms), (WRONG_USE, []))
        self.assertIn("the kubelet's request: larger than 65536 bytes", done.stderr)


if __name__ == "__main__":
    unittest.main()
