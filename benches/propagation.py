"""How long after the answer to a revocation each kind of verifier refuses the token: `scripts/bench --propagation`.

Three brokers share a database. Revocations go to the first; introspection and forward-auth ask the second, and verifiers
that follow the list of revocations follow the third.
"""

import argparse
import concurrent.futures
import math
import pathlib
import random
import sys
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO / "tests/clients"), str(REPO / "clients/python/src")]
import broker  # noqa: E402
import requests  # noqa: E402
import vouchsafe  # noqa: E402

API = "https://api.example"
AT_ONCE = 10
# What a verifier may ask per second, so that the machine measures revocations and not itself.
PAUSE_SECONDS = 0.02
GOAL_SECONDS = 5
GIVE_UP_SECONDS = 60
LOCAL = threading.local()


def session():
    """A session of this thread, which keeps its connections."""
    if not hasattr(LOCAL, "session"):
        LOCAL.session = requests.Session()
    return LOCAL.session


class Scene:
    def __init__(self, setup):
        self.setup = setup
        self.first = setup.broker
        self.second, self.third = (self.another() for _ in range(2))
        self.caller = self.obtain(broker.RESOURCE_SERVER, f"{self.first}/introspect", API)

    def another(self):
        """Another broker on the same database."""
        variables = {"issuer": self.setup.broker, "development": "true", **self.setup.variables()}
        options = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        return self.setup.run(
            *("serve", "--manifest", "spin.toml", "--listen", f"127.0.0.1:{broker.free_port()}", "--policies", "policies"),
            *("--state-dir", "state", *options),
        )

    def obtain(self, repository=None, audience=API, scope="read"):
        """A token of a workload of its own, or of that of this repository."""
        claims = {"repository_id": repository} if repository else {"sub": f"repo:octo-org/{random.getrandbits(64):x}"}
        minted = session().post(f"{self.setup.dev_issuer}/mint", json={"aud": self.first, "claims": claims}, timeout=10)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": minted.json()["token"], "audience": audience, "scope": scope,
        }  # fmt: skip
        answer = session().post(f"{self.first}/token", data=form, timeout=10)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def introspection(self, token):
        headers = {"authorization": f"Bearer {self.caller}"}

        def accepts():
            return session().post(f"{self.second}/introspect", data={"token": token}, headers=headers, timeout=10).json()["active"]

        return accepts

    def forward_auth(self, token):
        headers = {"authorization": f"Bearer {token}"}

        def accepts():
            url = f"{self.second}/forward-auth/https%3A%2F%2Fapi.example"
            return session().get(url, headers=headers, timeout=10).status_code == 200

        return accepts

    def follower(self, token):
        keys, revocations = f"{self.third}/.well-known/jwks.json", f"{self.third}/revocations"
        verifier = vouchsafe.Verifier(self.first, API, jwks_uri=keys, revocations=revocations)

        def accepts():
            try:
                verifier.verify(token)
                return True
            except vouchsafe.InvalidToken:
                return False

        return accepts

    def seconds(self, kind, _):
        """From the answer to the revocation until the verifier refuses the token."""
        token = self.obtain()
        accepts = kind(self, token)
        # At any time of the verifier's period.
        until = time.monotonic() + 1 + random.random() * 2
        while time.monotonic() < until:
            if not accepts():
                raise RuntimeError("a valid token was refused")
            time.sleep(PAUSE_SECONDS)
        session().post(f"{self.first}/revoke", data={"token": token}, timeout=10).raise_for_status()
        revoked = time.monotonic()
        while accepts():
            if time.monotonic() - revoked > GIVE_UP_SECONDS:
                raise RuntimeError("the revocation did not arrive")
            time.sleep(PAUSE_SECONDS)
        return time.monotonic() - revoked


def percentile(sorted_seconds, share):
    return sorted_seconds[math.ceil(share * len(sorted_seconds)) - 1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--revocations", type=int, default=200, help="of each kind")
    count = parser.parse_args().revocations
    with broker.Setup() as setup:
        scene = Scene(setup)
        print(f"{'verifier':<16} {'revocations':>11} {'p50 s':>8} {'p99 s':>8} {'most s':>8}")
        late = False
        for name in ("introspection", "forward_auth", "follower"):
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                seconds = sorted(pool.map(lambda number: scene.seconds(getattr(Scene, name), number), range(count)))
            p99 = percentile(seconds, 0.99)
            late = late or p99 > GOAL_SECONDS
            print(f"{name:<16} {count:>11} {percentile(seconds, 0.5):>8.3f} {p99:>8.3f} {seconds[-1]:>8.3f}")
    print(f"goal: p99 of at most {GOAL_SECONDS} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
