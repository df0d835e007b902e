"""AWS STS, as far as its API description in botocore says what a request must have and what an answer looks like."""

import datetime
import http.server
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree

import botocore.loaders
import botocore.model

ACCOUNT = "123456789012"


class FakeSts:
    """Answers `AssumeRoleWithWebIdentity` with keys named after the token, and `GetCallerIdentity`.

    `error` is (status, code, message), for the next requests.
    """

    def __init__(self):
        description = botocore.loaders.Loader().load_service_model("sts", "service-2")
        self.model = botocore.model.ServiceModel(description, "sts")
        self.requests = []
        self.error = None
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                status, answer = fake.answer(dict(urllib.parse.parse_qsl(body, strict_parsing=True)), self.headers)
                self.send_response(status)
                self.send_header("content-type", "text/xml")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, form, headers):
        self.requests.append(form)
        if self.error:
            status, code, message = self.error
            root = ElementTree.Element("ErrorResponse", xmlns=self.model.metadata["xmlNamespace"])
            error = ElementTree.SubElement(root, "Error")
            for name, text in (("Type", "Sender"), ("Code", code), ("Message", message)):
                ElementTree.SubElement(error, name).text = text
            return status, ElementTree.tostring(root)
        operation = self.model.operation_model(form.pop("Action"))
        assert form.pop("Version") == self.model.api_version
        self.check(operation.input_shape, form)
        values = self.values(operation.name, form, headers)
        root = ElementTree.Element(f"{operation.name}Response", xmlns=self.model.metadata["xmlNamespace"])
        result = ElementTree.SubElement(root, operation.output_shape.serialization["resultWrapper"])
        self.write(result, operation.output_shape, values)
        return 200, ElementTree.tostring(root)

    def check(self, shape, form):
        members = shape.members if shape else {}
        assert set(form) <= set(members), form
        assert set(shape.required_members if shape else []) <= set(form), form
        for name, text in form.items():
            bounds = members[name].metadata
            size = int(text) if members[name].type_name == "integer" else len(text)
            assert bounds.get("min", 0) <= size <= bounds.get("max", size), (name, bounds)

    def values(self, name, form, headers):
        if name == "GetCallerIdentity":
            key = headers["authorization"].split("Credential=")[1].split("/")[0]
            return {"UserId": key, "Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/x"}
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(form.get("DurationSeconds", 3600)))
        key = "ASIA" + form["WebIdentityToken"].replace(".", "").upper()
        return {
            "Credentials": {
                "AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "session",
                "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "AssumedRoleUser": {"AssumedRoleId": "AROA:x", "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/x"},
        }  # fmt: skip

    def write(self, parent, shape, values):
        assert set(values) <= set(shape.members), values
        for name, value in values.items():
            element = ElementTree.SubElement(parent, name)
            if isinstance(value, dict):
                self.write(element, shape.members[name], value)
            else:
                element.text = value

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
