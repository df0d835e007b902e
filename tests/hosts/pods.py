"""The manifests of deploy/kubernetes with a real image: `pods.py ARCHIVE KUBECTL`, where ARCHIVE is made by scripts/image.

A pod of the overlay `sqlite` exchanges a token and is replaced; one of `hsm` waits for its gateway; then pods of
`postgresql` are replaced while clients exchange tokens, and no exchange may fail.
"""

import argparse
import base64
import collections
import pathlib
import random
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

import cluster
import history
import image
import kubelet
import network
import postgres

CLIENTS = 2
PAUSE_SECONDS = 0.05
READY_SECONDS_MAX = 180
ISSUER = "https://token.actions.githubusercontent.com"
DEV_ISSUER = "http://127.0.0.1:7000"
WAITS_FOR_GATEWAY = "gateway.example.internal:8480: DNS lookup failed; trying again"


def say(text):
    print(f"pods: {text}", flush=True)


def edit(file, changes):
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, (file, old)
        text = text.replace(old, new)
    file.write_text(text)


def render(folder, kubectl, overlay, site):
    """The objects of an overlay, after the edits that an operator makes: names of the broker, the issuer, the database."""
    import yaml

    copy = folder / overlay
    shutil.copytree(cluster.REPO / "deploy/kubernetes", copy)
    here = copy / "overlays" / overlay
    edit(copy / "base/policies/issuers/github.toml", {f'"{ISSUER}"': f'"{DEV_ISSUER}"\ndevelopment = true'})
    broker = "SPIN_VARIABLE_ISSUER="
    edit(
        copy / "base/kustomization.yaml",
        {f"{broker}https://broker.example.com": f"{broker}{cluster.BROKER}\n      - SPIN_VARIABLE_DEVELOPMENT=true"},
    )
    edit(here / "spin.toml", {ISSUER: DEV_ISSUER})
    if overlay == "sqlite":
        edit(here / "spin-runtime.toml", {'"private"': '"10.0.0.0/8"'})
    else:
        database = "postgres.example.internal"
        edit(here / "spin.toml", {database: site.primary.host.address})
        # The issuer is on loopback here.
        edit(here / "spin-runtime.toml", {database: site.primary.host.address, '"127.0.0.0/8", ': ""})
    rendered = subprocess.run([kubectl, "kustomize", str(here)], check=True, capture_output=True, text=True)
    objects = list(yaml.safe_load_all(rendered.stdout))
    certificate = folder / "certificate"
    certificate.mkdir(exist_ok=True)
    site.authority.issue(certificate, "127.0.0.1")
    files = {
        "vouchsafe-gateway": {
            "token": secrets.token_urlsafe(32),
            "ca.crt": site.authority.certificate.read_text(),
            "tls.crt": (certificate / "server.pem").read_text(),
            "tls.key": (certificate / "server.key").read_text(),
        },
        "vouchsafe-signer": {"root": cluster.ROOT},
        "vouchsafe-database": {"address": site.primary.address(), "ca.crt": site.authority.certificate.read_text()},
    }
    for name, data in files.items():
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        objects.append({"kind": "Secret", "metadata": {"name": name}, "data": encoded})
    return objects


class Deployment:
    """Pods of the rendered Deployment."""

    def __init__(self, folder, site, unpacked, objects):
        self.folder, self.site, self.unpacked, self.objects = folder, site, unpacked, objects
        self.template = kubelet.only(objects, "Deployment")["spec"]["template"]
        self.pods, self.started = [], 0

    def start(self):
        self.started += 1
        name = f"{self.folder.name}-{self.started}"
        host = kubelet.new_host(self.site.network, self.site, name)
        pod = kubelet.Pod(self.folder / name, host, self.unpacked, self.objects, self.template, self.folder / "claims")
        self.pods.append(pod)
        return pod

    def replace(self):
        """As a rolling update with maxSurge 1 and maxUnavailable 0: one more pod, then one less."""
        old = list(self.pods)
        for pod in old:
            self.start().wait_ready(READY_SECONDS_MAX)
            pod.terminate()
            self.pods.remove(pod)
            yield pod

    def close(self):
        for pod in self.pods:
            pod.remove()


def one_pod_on_sqlite(folder, site, unpacked, kubectl):
    deployment = Deployment(folder / "sqlite-pods", site, unpacked, render(folder, kubectl, "sqlite", site))
    spec = kubelet.only(deployment.objects, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate"), spec
    try:
        first = deployment.start()
        first.wait_ready(READY_SECONDS_MAX)
        token = site.mint()
        answers = [cluster.exchange(first.host, "sqlite", token)]
        first.terminate()
        assert not first.faults, (first.faults, first.running.log.read_text())
        deployment.pods.remove(first)
        second = deployment.start()
        second.wait_ready(READY_SECONDS_MAX)
        answers.append(cluster.exchange(second.host, "sqlite", token))
        log = first.running.log.read_text()
        with sqlite3.connect(folder / "sqlite-pods/claims/vouchsafe-state/state/sqlite.db") as database:
            recorded = database.execute("SELECT decision_id FROM audit WHERE outcome = 'issued'").fetchall()
        database.close()
    finally:
        deployment.close()
    assert recorded == [(answers[0].decision,)], (recorded, answers)
    # If the update took long, the store counts as out of use, and the token is refused for that.
    assert answers[1].answer in (history.SPENT, history.REFUSED), answers
    assert "warning: " not in log, log
    say("overlay sqlite: exchanged a token, and the next pod refuses it")


def one_pod_with_an_hsm(folder, site, unpacked, kubectl):
    """There is no gateway: the broker accepts every file, and waits for it."""
    deployment = Deployment(folder / "hsm-pods", site, unpacked, render(folder, kubectl, "hsm", site))
    try:
        pod = deployment.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while WAITS_FOR_GATEWAY not in pod.running.log.read_text():
            assert time.monotonic() < deadline and pod.running.child.poll() is None, pod.running.log.read_text()
            time.sleep(0.1)
        log = pod.running.log.read_text()
    finally:
        deployment.close()
    assert "warning: " not in log, log
    say("overlay hsm: waits for its gateway")


def update_on_postgresql(folder, site, unpacked, kubectl):
    deployment = Deployment(folder / "postgresql-pods", site, unpacked, render(folder, kubectl, "postgresql", site))
    replicas = kubelet.only(deployment.objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    strategy = kubelet.only(deployment.objects, "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}, strategy
    service, exchanges, ended, broken = kubelet.Service(deployment.pods), [], threading.Event(), []

    def client(number):
        choose = random.Random(number)
        try:
            while not ended.wait(PAUSE_SECONDS):
                exchanges.append(cluster.exchange(choose.choice(service.hosts()), "load", site.mint()))
        except Exception as error:  # Reported below.
            broken.append(repr(error))

    try:
        for _ in range(replicas):
            deployment.start()
        for pod in deployment.pods:
            pod.wait_ready(READY_SECONDS_MAX)
        while len(service.hosts()) < replicas:
            time.sleep(0.1)
        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        old = list(deployment.replace())
        ended.set()
        for thread in threads:
            thread.join()
        faults = {pod.host.name: pod.faults for pod in [*old, *deployment.pods] if pod.faults}
    finally:
        ended.set()
        deployment.close()
    answers = collections.Counter(it.answer for it in exchanges)
    brokers = {it.broker for it in exchanges if it.answer == history.ISSUED}
    assert not broken and not faults, (broken, faults)
    failed = [it for it in exchanges if it.answer != history.ISSUED]
    assert not failed, failed[:5]
    # Old pods and new ones served.
    assert len(brokers) == 2 * replicas, brokers
    say(f"overlay postgresql: replaced {replicas} pods during {answers[history.ISSUED]} exchanges, none of which failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("kubectl")
    arguments = parser.parse_args()
    reason = network.unavailable() or image.unavailable()
    reason = reason or (None if postgres.programs() else "PostgreSQL is not installed")
    if reason:
        say(f"skipped: {reason}")
        return 0
    network.isolate()
    image.prepare()
    folder = network.scratch()
    unpacked = image.Image(arguments.archive, folder)
    (folder / "site").mkdir()
    site = cluster.Cluster(folder / "site", brokers=())
    try:
        for run in (one_pod_on_sqlite, one_pod_with_an_hsm, update_on_postgresql):
            run(folder, site, unpacked, arguments.kubectl)
    finally:
        site.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
