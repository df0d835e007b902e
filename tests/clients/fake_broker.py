"""A broker that misbehaves on request, in ways that clients must survive."""

import contextlib
import http.server
import json
import threading


# The connection ends without an answer, at once or when the broker does.
DROP, STALL = "drop", "stall"


class FakeBroker:
    """Serves `metadata` (changed by `changes`) and answers /token from `answers` in turn.

    An answer is (status, headers, body), DROP or STALL; the last one repeats. `url` is the issuer URL if another server
    is in front.
    """

    def __init__(self, changes=None, answers=(), port=0, url=None):
        self.answers = list(answers)
        self.forms = []
        self.ended = threading.Event()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, headers, body):
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def do_GET(self):
                metadata = {
                    "issuer": fake.url,
                    "token_endpoint": f"{fake.url}/token",
                    "jwks_uri": f"{fake.url}/.well-known/jwks.json",
                }
                self.reply(200, {}, json.dumps({**metadata, **(changes or {})}).encode())

            def do_POST(self):
                fake.forms.append(self.rfile.read(int(self.headers["content-length"])).decode())
                answer = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
                if answer is STALL:
                    fake.ended.wait()
                if answer in (DROP, STALL):
                    self.close_connection = True
                else:
                    self.reply(*answer)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = url or f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


def answer(status, body, **headers):
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode()


def issued(token="aaa.bbb.ccc", expires_in=60):
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return answer(200, {"access_token": token, "issued_token_type": kind, "token_type": "Bearer", "expires_in": expires_in})
