#!/usr/bin/env python3
"""A playbook: receives the webhooks of `vouchsafe audit export`, and acts on them.

`key.compromised` makes it replace every epoch key, with the admin credential of the gateway. Everything else is printed, for
a ticket. Adapt `act` to what you want to happen without a person.

Each webhook is verified (Standard Webhooks: an HMAC over id, timestamp and body, not older than five minutes), and acted on
once: its id is remembered in --state before it is answered.
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import subprocess
import sys
import time

BODY_BYTES_MAX = 64 * 1024
AGE_SECONDS_MAX = 300
ROTATE_SECONDS_MAX = 120


def is_signed(secret, headers, body, now):
    """Whether one of the signatures is right, and the webhook is not old."""
    name, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > AGE_SECONDS_MAX:
        return False
    signed = f"{name}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{expected}", signature) for signature in given)


class Playbook:
    def __init__(self, options):
        self.options = options
        text = pathlib.Path(options.secret_file).read_text(encoding="ascii").split()[0]
        self.secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        self.state = pathlib.Path(options.state)
        self.state.mkdir(parents=True, exist_ok=True)

    def handle(self, headers, body):
        """The status of the answer: anything but success makes the exporter send the webhook again."""
        if not is_signed(self.secret, headers, body, time.time()):
            return 401
        event, name = json.loads(body), headers["webhook-id"]
        done = self.state / hashlib.sha256(name.encode()).hexdigest()
        if done.exists():
            print(f"known: {name}", flush=True)
            return 204
        if not self.act(event):
            return 503
        done.touch()
        return 204

    def act(self, event):
        print(json.dumps(event), flush=True)
        if event["type"] != "key.compromised":
            return True
        options = self.options
        # Only keys of the generation that was in use when the key was reported: if that was replaced since, it is done.
        generations = event["data"].get("generations", {}).values()
        command = [options.vouchsafe, "keys", "rotate", "--emergency", "--broker", options.broker, "--gateway", options.gateway]
        command += ["--admin-token-file", options.admin_token_file]
        command += ["--from", str(max(generations))] if generations else []
        done = subprocess.run(command, timeout=ROTATE_SECONDS_MAX, check=False)
        return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:8490", metavar="HOST:PORT")
    parser.add_argument("--secret-file", required=True, help="the secret that `vouchsafe audit export` signs with")
    parser.add_argument("--state", required=True, help="a folder that remembers what was done")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--gateway", required=True, metavar="ADMIN-URL")
    parser.add_argument("--admin-token-file", required=True)
    parser.add_argument("--vouchsafe", default="vouchsafe")
    options = parser.parse_args()
    playbook = Playbook(options)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = self.headers.get("content-length", "")
            status = 413
            if length.isdigit() and int(length) <= BODY_BYTES_MAX:
                status = playbook.handle(self.headers, self.rfile.read(int(length)))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    host, _, port = options.listen.rpartition(":")
    # One webhook after the other, so that no key is replaced twice.
    http.server.HTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
