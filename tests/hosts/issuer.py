"""An issuer's documents on loopback of a host: `issuer.py DOCUMENTS FETCHES`. It notes the time of each fetch of the keys."""

import http.server
import json
import pathlib
import sys
import time

ADDRESS = ("127.0.0.1", 7000)
CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/.well-known/jwks.json"


class Handler(http.server.BaseHTTPRequestHandler):
    documents = {}
    fetches = None

    def do_GET(self):
        text = self.documents.get(self.path)
        self.send_response(200 if text else 404)
        body = (text or "").encode()
        self.send_header("content-type", "application/json")
        self.send_header("cache-control", "max-age=3600")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == KEYS:
            with open(self.fetches, "a") as file:
                file.write(f"{time.time()}\n")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    Handler.documents = json.loads(pathlib.Path(sys.argv[1]).read_text())
    Handler.fetches = sys.argv[2]
    http.server.ThreadingHTTPServer(ADDRESS, Handler).serve_forever()
