"""What all sinks of `vouchsafe audit export` cost the broker: exchanges per second with all of them on and off, in turns, in
one run. `scripts/bench --sinks [SECONDS [ROUNDS]]` runs it."""

import contextlib
import http.client
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/clients"))
# Modules that are imported below are about a broker that their runner starts.
for name in ("BROKER", "DEV_ISSUER"):
    os.environ.setdefault(f"VOUCHSAFE_TEST_{name}", "none")

import broker  # noqa: E402
from test_networks import Authority  # noqa: E402
from test_operations import API, mint  # noqa: E402
from test_sinks import SECRET, Exporter, Receiver, Rsyslog  # noqa: E402

CLIENTS = 8
WARM_UP_SECONDS = 3


def measure(setup, seconds):
    """Exchanges per second of all clients; every answer must be a token."""
    address = setup.broker.removeprefix("http://")
    form = urllib.parse.urlencode({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": API, "scope": "read",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "subject_token": mint(setup),
    })  # fmt: skip
    headers = {"content-type": "application/x-www-form-urlencoded"}
    counts, end = [0] * CLIENTS, time.monotonic() + seconds

    def run(place):
        connection = http.client.HTTPConnection(address)
        while time.monotonic() < end:
            connection.request("POST", "/token", form, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            counts[place] += 1

    threads = [threading.Thread(target=run, args=[place]) for place in range(CLIENTS)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - start)


def main(seconds=10.0, rounds=5):
    with contextlib.ExitStack() as stack:
        setup = stack.enter_context(broker.Setup())
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        rsyslog = Rsyslog(folder, authority)
        rsyslog.start()
        stack.callback(rsyslog.stop)
        receiver = Receiver()
        stack.callback(receiver.close)
        (folder / "secret").write_text(SECRET)
        (folder / "secret").chmod(0o600)
        sinks = [
            "--to", f"file:{folder}/audit.jsonl", "--to", f"syslog+tls://localhost:{rsyslog.port}", "--to", receiver.url,
            "--secret-file", folder / "secret", "--ca", authority.file, "--metrics-listen", f"127.0.0.1:{broker.free_port()}",
        ]  # fmt: skip
        measure(setup, WARM_UP_SECONDS)
        found = {"off": [], "on": []}
        for _ in range(rounds):
            found["off"].append(measure(setup, seconds))
            with Exporter(setup, folder / "cursor", *sinks):
                found["on"].append(measure(setup, seconds))
        for name, values in found.items():
            print(f"sinks {name}: {statistics.median(values):.0f} exchanges per second ({min(values):.0f} to {max(values):.0f})")
        # Neighbours in time, because the machine's speed changes.
        costs = [1 - on / off for off, on in zip(found["off"], found["on"], strict=True)]
        print(f"cost of all sinks: {statistics.median(costs):.1%} (of {rounds} pairs; {min(costs):.1%} to {max(costs):.1%})")


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((float, int), sys.argv[1:])))
