"""`vouchsafe token --from PLATFORM`, with local stand-ins for each platform's service or command."""

import http.server
import json
import os
import pathlib
import tempfile
import threading
import unittest
import urllib.parse

from fake_broker import FakeBroker, issued
from test_commands import UNREACHABLE, WRONG_USE, run

OPTIONS = ("--audience", "https://api.example", "--scope", "read")


class Metadata:
    """A metadata service that answers every request with `body`."""

    def __init__(self, body, status=200):
        self.requests = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def do_GET(self):
                service.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def subject(fake):
    return dict(urllib.parse.parse_qsl(fake.forms[-1]))["subject_token"]


class Platforms(unittest.TestCase):
    def setUp(self):
        self.fake = self.enterContext(FakeBroker(answers=[issued()]))

    def token(self, platform, *arguments, **environment):
        return run("token", "--broker", self.fake.url, *OPTIONS, "--from", platform, *arguments, **environment)

    def succeeds(self, done, expected):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(subject(self.fake), expected)

    def fails(self, done, code, words):
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(self.fake.forms, [])

    def test_google_metadata_server(self):
        # Requests to it never go through a proxy.
        with Metadata(b"go.og.le\n") as service:
            done = self.token("google", GCE_METADATA_HOST=service.address, HTTPS_PROXY="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1")
            self.succeeds(done, "go.og.le")
        (path, headers), = service.requests
        url = urllib.parse.urlsplit(path)
        self.assertEqual(url.path, "/computeMetadata/v1/instance/service-accounts/default/identity")
        self.assertEqual(dict(urllib.parse.parse_qsl(url.query)), {"audience": self.fake.url, "format": "full"})
        self.assertEqual(headers["metadata-flavor"], "Google")

    def test_azure_app_service(self):
        with Metadata(json.dumps({"access_token": "az.u.re"}).encode()) as service:
            variables = {"IDENTITY_ENDPOINT": f"http://{service.address}/msi/token", "IDENTITY_HEADER": "header-secret"}
            self.succeeds(self.token("azure", "--subject-audience", "api://broker", AZURE_CLIENT_ID="c1", **variables), "az.u.re")
        (path, headers), = service.requests
        url = urllib.parse.urlsplit(path)
        self.assertEqual(url.path, "/msi/token")
        query = dict(urllib.parse.parse_qsl(url.query))
        self.assertEqual(query, {"api-version": "2019-08-01", "resource": "api://broker", "client_id": "c1"})
        self.assertEqual(headers["x-identity-header"], "header-secret")

    def test_azure_virtual_machine(self):
        with Metadata(json.dumps({"access_token": "az.u.re"}).encode()) as service:
            self.succeeds(self.token("azure", AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://{service.address}/"), "az.u.re")
        (path, headers), = service.requests
        url = urllib.parse.urlsplit(path)
        self.assertEqual(url.path, "/metadata/identity/oauth2/token")
        self.assertEqual(dict(urllib.parse.parse_qsl(url.query)), {"api-version": "2018-02-01", "resource": self.fake.url})
        self.assertEqual(headers["metadata"], "true")

    def test_service_without_a_token(self):
        with Metadata(b"not a token", status=404) as service:
            self.fails(self.token("google", GCE_METADATA_HOST=service.address), UNREACHABLE, "returned no token (status 404)")
            done = self.token("azure", AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://{service.address}")
            self.fails(done, UNREACHABLE, "--subject-audience must be the application id URI")

    def test_commands_of_platforms(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        path = f"{folder}:{os.environ['PATH']}"
        table = [
            ("aws", "aws", ["sts", "get-web-identity-token", "--audience"]),
            ("buildkite", "buildkite-agent", ["oidc", "request-token", "--audience"]),
            ("circleci", "circleci", ["run", "oidc", "get", "--claims"]),
        ]
        for platform, name, start in table:
            program = folder / name
            program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\necho com.mand.{platform}\n')
            program.chmod(0o755)
            with self.subTest(platform):
                self.succeeds(self.token(platform, PATH=path), f"com.mand.{platform}")
                arguments = (folder / "arguments").read_text().splitlines()
                self.assertEqual(arguments[: len(start)], start)
                value = arguments[len(start)]
                self.assertEqual(json.loads(value)["aud"] if platform == "circleci" else value, self.fake.url)

    def test_command_that_fails_or_is_missing(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        program = folder / "aws"
        program.write_text("#!/bin/sh\necho 'AccessDenied: not allowed' >&2\nexit 254\n")
        program.chmod(0o755)
        done = self.token("aws", PATH=f"{folder}:{os.environ['PATH']}")
        self.fails(done, UNREACHABLE, "`aws` returned no token: AccessDenied: not allowed")
        self.fails(self.token("circleci", PATH=str(folder)), WRONG_USE, "cannot run `circleci`: No such file")

    def test_variable_of_terraform(self):
        self.succeeds(self.token("terraform", TFC_WORKLOAD_IDENTITY_TOKEN="ter.ra.form\n"), "ter.ra.form")

    def test_missing_tokens_of_files_and_variables(self):
        self.fails(self.token("terraform"), WRONG_USE, "TFC_WORKLOAD_IDENTITY_AUDIENCE")
        self.fails(self.token("kubernetes"), WRONG_USE, "cannot read the subject token from /var/run/secrets/vouchsafe/token")
        self.fails(self.token("github"), WRONG_USE, "id-token: write")

    def test_finds_each_platform_by_itself(self):
        table = [
            ("BITBUCKET_STEP_OIDC_TOKEN", {}),
            ("SEMAPHORE_OIDC_TOKEN", {}),
            ("SPACELIFT_OIDC_TOKEN", {}),
            ("TFC_WORKLOAD_IDENTITY_TOKEN", {}),
            ("VERCEL_OIDC_TOKEN", {}),
            ("VOUCHSAFE_ID_TOKEN", {"GITLAB_CI": "true"}),
        ]
        for name, more in table:
            with self.subTest(name):
                self.succeeds(self.detect(**{name: "fo.un.d"}, **more), "fo.un.d")

    def detect(self, *arguments, **environment):
        return run("token", "--broker", self.fake.url, *OPTIONS, *arguments, **environment)

    def test_names_both_platforms_and_stops(self):
        done = self.detect(VERCEL_OIDC_TOKEN="a.b.c", SEMAPHORE_OIDC_TOKEN="d.e.f")
        self.fails(done, WRONG_USE, "more than one platform offers a token here: `semaphore`, `vercel`\nhint: choose one with --from")
        self.succeeds(self.detect("--from", "vercel", VERCEL_OIDC_TOKEN="a.b.c", SEMAPHORE_OIDC_TOKEN="d.e.f"), "a.b.c")

    def test_platform_without_its_token_is_explained(self):
        for name, words in [
            ("GITLAB_CI", "id_tokens: {VOUCHSAFE_ID_TOKEN: {aud: https://broker.example}}"),
            ("BITBUCKET_PIPELINE_UUID", "oidc: true"),
            ("GITHUB_ACTIONS", "id-token: write"),
            ("KUBERNETES_SERVICE_HOST", "mount a projected token at /var/run/secrets/vouchsafe/token"),
        ]:
            with self.subTest(name):
                self.fails(self.detect(**{name: "true"}), WRONG_USE, words)

    def test_codefresh_token_service(self):
        with Metadata(json.dumps({"id_token": "code.fre.sh"}).encode()) as service:
            variables = {"CF_OIDC_REQUEST_URL": f"http://{service.address}/oidc", "CF_OIDC_REQUEST_TOKEN": "request-token"}
            self.succeeds(self.detect(**variables), "code.fre.sh")
        (path, headers), = service.requests
        self.assertEqual(path, f"/oidc?audience={urllib.parse.quote_plus(self.fake.url)}")
        self.assertEqual(headers["authorization"], "request-token")
        variables = {"CF_OIDC_REQUEST_URL": "http://service.example/oidc", "CF_OIDC_REQUEST_TOKEN": "request-token"}
        self.fake.forms.clear()
        self.fails(self.detect(**variables), WRONG_USE, "CF_OIDC_REQUEST_URL is not https")

    def test_azure_pipelines_service_connection(self):
        with Metadata(json.dumps({"oidcToken": "pipe.li.nes"}).encode()) as service:
            variables = {"SYSTEM_OIDCREQUESTURI": f"http://{service.address}/oidctoken", "TF_BUILD": "True"}
            self.fails(self.detect(**variables), WRONG_USE, "SYSTEM_ACCESSTOKEN: $(System.AccessToken)")
            variables["SYSTEM_ACCESSTOKEN"] = "access-token"
            self.fails(self.detect(**variables), WRONG_USE, "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID is not set")
            done = self.detect(AZURESUBSCRIPTION_SERVICE_CONNECTION_ID="c 1", **variables)
            self.succeeds(done, "pipe.li.nes")
        self.assertEqual(done.stderr, "##vso[task.setsecret]pipe.li.nes\n##vso[task.setsecret]aaa.bbb.ccc\n")
        (path, headers), = service.requests
        self.assertEqual(path, "/oidctoken?api-version=7.1&serviceConnectionId=c+1")
        self.assertEqual(headers["authorization"], "Bearer access-token")

    def test_spiffe_workload_api(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        program = folder / "spire-agent"
        svids = json.dumps([{"svids": [{"spiffe_id": "spiffe://td/a", "svid": "sp.if.fe"}]}, {"bundles": {}}])
        program.write_text(f"#!/bin/sh\necho \"$@\" > {folder}/arguments\necho '{svids}'\n")
        program.chmod(0o755)
        path = f"{folder}:{os.environ['PATH']}"
        self.succeeds(self.detect(PATH=path, SPIFFE_ENDPOINT_SOCKET="unix:///run/spire/agent.sock"), "sp.if.fe")
        arguments = (folder / "arguments").read_text().split()
        self.assertEqual(arguments, ["api", "fetch", "jwt", "-audience", self.fake.url, "-socketPath", "/run/spire/agent.sock", "-output", "json"])
        self.fake.forms.clear()
        done = self.detect(PATH=path, SPIFFE_ENDPOINT_SOCKET="tcp://127.0.0.1:1")
        self.fails(done, WRONG_USE, "SPIFFE_ENDPOINT_SOCKET does not name a socket")


if __name__ == "__main__":
    unittest.main()
