"""`serve --otlp-endpoint` exports exchanges that OpenTelemetry's own message definitions accept, and nothing secret."""

import base64
import http.server
import json
import re
import threading
import time
import unittest
import uuid

import requests
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import broker

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SUBJECT = "repo:octo-org/traced-workload"


class Receiver:
    """Takes traces by OTLP over HTTP, unless it is told to be down."""

    def __init__(self):
        receiver = self
        self.bodies, self.status, self.refused = [], 200, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if (self.path, self.headers["content-type"]) != ("/v1/traces", "application/json"):
                    self.send_error(400)
                    return
                if receiver.status == 200:
                    receiver.bodies.append(body)
                else:
                    receiver.refused += 1
                self.send_response(receiver.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def spans(self):
        """All spans so far, as OpenTelemetry's messages, by name."""
        found = []
        for body in self.bodies:
            document = json.loads(body)
            for resource in document["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        # OTLP writes ids in hex where Protobuf's JSON has base64.
                        for name in {"traceId", "spanId", "parentSpanId"} & set(span):
                            assert re.fullmatch("[0-9a-f]+", span[name]), span
                            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
            for resource in ParseDict(document, ExportTraceServiceRequest()).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found


class Traces(unittest.TestCase):
    def setUp(self):
        self.receiver = Receiver()
        self.addCleanup(self.receiver.stop)
        self.site = self.enterContext(broker.Setup())
        self.metrics = f"127.0.0.1:{broker.free_port()}"
        self.site.restart_broker(
            *("--otlp-endpoint", self.receiver.url, "--metrics-listen", self.metrics),
            *("--variable", "trusted_proxies=127.0.0.0/8", "--variable", "forwarded_header=forwarded"),
        )

    def exchange(self, audience="https://api.example", **headers):
        claims = {"sub": SUBJECT, "repository_id": "123456", "jti": str(uuid.uuid4())}
        minted = requests.post(f"{self.site.dev_issuer}/mint", json={"aud": self.site.broker, "claims": claims}, timeout=10)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience, "scope": "read",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "subject_token": minted.json()["token"],
        }  # fmt: skip
        headers = {"forwarded": "for=192.0.2.7", **headers}
        answer = requests.post(f"{self.site.broker}/token", data=form, headers=headers, timeout=30)
        return form["subject_token"], answer

    def spans(self, count):
        """The spans of `count` exchanges; the runner ends the test if they never arrive."""
        deadline = time.monotonic() + 60
        while True:
            spans = self.receiver.spans()
            servers = [span for span in spans if span.name == "POST /token"]
            if len(servers) >= count or time.monotonic() > deadline:
                self.assertEqual(len(servers), count)
                return servers, spans
            time.sleep(0.05)

    def test_each_exchange_is_a_trace_with_its_steps(self):
        subject_token, issued = self.exchange(traceparent=f"00-{TRACE}-{SPAN}-01")
        _, denied = self.exchange("https://unknown.example")
        self.assertEqual((issued.status_code, denied.status_code), (200, 400))
        servers, spans = self.spans(2)
        continued = next(span for span in servers if span.trace_id.hex() == TRACE)
        own = next(span for span in servers if span is not continued)
        self.assertEqual((continued.parent_span_id.hex(), own.parent_span_id.hex()), (SPAN, ""))
        request_id = base64.urlsafe_b64decode(denied.headers["x-request-id"] + "==")
        self.assertEqual(own.trace_id, request_id)
        steps = [span for span in spans if span.parent_span_id == continued.span_id]
        self.assertEqual([span.name for span in steps][-3:], ["vouchsafe.consume", "vouchsafe.sign", "vouchsafe.record"])
        for before, after in zip(steps, steps[1:]):
            self.assertEqual(before.end_time_unix_nano, after.start_time_unix_nano)
        self.assertEqual((steps[0].start_time_unix_nano, steps[-1].end_time_unix_nano), (continued.start_time_unix_nano, continued.end_time_unix_nano))  # fmt: skip
        attributes = {each.key: each.value.string_value or each.value.int_value for each in own.attributes}
        self.assertEqual((attributes["error.type"], attributes["http.response.status_code"]), ("audience.unknown", 400))
        self.assertEqual(attributes["vouchsafe.decision_id"], denied.json()["decision_id"])
        # A denial is a good answer.
        self.assertEqual(own.status.code, 0)
        exported = b"".join(self.receiver.bodies)
        for secret in (subject_token, issued.json()["access_token"], SUBJECT, "123456"):
            self.assertNotIn(secret.encode(), exported)

    def test_stranger_chooses_no_trace(self):
        self.site.restart_broker("--otlp-endpoint", self.receiver.url)
        self.exchange(traceparent=f"00-{TRACE}-{SPAN}-01")
        [server], _ = self.spans(1)
        self.assertNotEqual(server.trace_id.hex(), TRACE)
        self.assertEqual(server.parent_span_id, b"")

    def test_receiver_that_is_down_delays_nothing(self):
        self.receiver.status = 503
        for _ in range(3):
            self.assertEqual(self.exchange()[1].status_code, 200)
        deadline = time.monotonic() + 60
        while not self.receiver.refused and time.monotonic() < deadline:
            time.sleep(0.05)
        self.receiver.status = 200
        self.spans(3)
        text = requests.get(f"http://{self.metrics}/metrics", timeout=10).text
        self.assertIn('vouchsafe_traces_total{outcome="dropped"} 0', text)


if __name__ == "__main__":
    unittest.main()
