"""Pods of a Deployment on hosts of the test network: volumes, probes, hooks and signals as the kubelet makes them.

What matters here about volumes, from the kubelet's sources: a ConfigMap and an emptyDir are folders that everybody can
write to (mode 0777); a Secret and an emptyDir in memory are a tmpfs with the sticky bit (1777). Files are links to a folder
that is replaced as a whole. `fsGroup` becomes the group of all of them, and `subPath` resolves links before the mount.
"""

import base64
import http.client
import os
import subprocess
import threading
import time

import image

# How long a Service sends connections to a pod that is not ready any more.
ENDPOINTS_LAG_SECONDS = 1.0


def only(items, kind, name=None):
    (found,) = [it for it in items if it["kind"] == kind and name in (None, it["metadata"]["name"])]
    return found


class Volumes:
    """The volumes of a pod, below `folder`. Persistent ones are below `claims`."""

    def __init__(self, folder, claims, objects, spec):
        self.folder, self.claims, self.objects = folder, claims, objects
        self.group = spec["securityContext"]["fsGroup"]
        self.mounted = []
        self.paths = {volume["name"]: self.make(volume) for volume in spec["volumes"]}

    def make(self, volume):
        path = self.folder / volume["name"]
        if "persistentVolumeClaim" in volume:
            path = self.claims / volume["persistentVolumeClaim"]["claimName"]
            path.mkdir(parents=True, exist_ok=True)
            self.own(path, 0o2775)
        elif "emptyDir" in volume:
            if volume["emptyDir"].get("medium") == "Memory":
                self.memory(path, volume["emptyDir"]["sizeLimit"].replace("Mi", "m"))
            else:
                path.mkdir()
            self.own(path, 0o3777 if path.is_mount() else 0o2777)
        elif "configMap" in volume:
            path.mkdir()
            path.chmod(0o777)
            source = volume["configMap"]
            data = only(self.objects, "ConfigMap", source["name"])["data"]
            self.write(path, source, {key: text.encode() for key, text in data.items()}, 0o644)
        else:
            self.memory(path)
            source = volume["secret"]
            data = only(self.objects, "Secret", source["secretName"])["data"]
            content = {key: base64.b64decode(text) for key, text in data.items()}
            self.write(path, source, content, source["defaultMode"] | 0o440)
        return path

    def memory(self, path, size="1m"):
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=1777,size={size}", "tmpfs", str(path)], check=True)
        self.mounted.append(path)

    def own(self, path, mode):
        os.chown(path, 0, self.group)
        path.chmod(mode)

    def write(self, path, source, content, mode):
        """Files in a folder with a link to it, and links to their first component."""
        items = source.get("items") or [{"key": key, "path": key} for key in content]
        version = path / "..2026_11_30"
        version.mkdir(mode=0o755)
        (path / "..data").symlink_to(version.name)
        for item in items:
            file = version / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content[item["key"]])
            os.chown(file, 0, self.group)
            file.chmod(mode)
        for first in {item["path"].split("/")[0] for item in items}:
            (path / first).symlink_to(f"..data/{first}")

    def bind(self, mount):
        source = (self.paths[mount["name"]] / mount.get("subPath", "")).resolve()
        return image.bind(source, mount["mountPath"], not mount.get("readOnly"))

    def remove(self):
        for path in self.mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


class Pod:
    """One pod. `ready` and `terminating` are what the Service sees."""

    def __init__(self, folder, host, unpacked, objects, template, claims):
        folder.mkdir(parents=True)
        self.host, self.spec = host, template["spec"]
        (self.container,) = self.spec["containers"]
        self.ready = self.terminating = False
        self.faults, self.ended = [], threading.Event()
        self.volumes = Volumes(folder, claims, objects, self.spec)
        names = [it["configMapRef"]["name"] for it in self.container["envFrom"]]
        environment = [pair for name in names for pair in only(objects, "ConfigMap", name)["data"].items()]
        mounts = [self.volumes.bind(mount) for mount in self.container["volumeMounts"]]
        self.running = image.Container(unpacked, folder, host, mounts, self.container["args"], environment)
        self.thread = threading.Thread(target=self.probe)
        self.thread.start()

    def ask(self, probe):
        """Whether an HTTP probe succeeds."""
        get = probe["httpGet"]
        (port,) = [it["containerPort"] for it in self.container["ports"] if it["name"] == get["port"]]
        connection = http.client.HTTPConnection(self.host.address, port, timeout=probe.get("timeoutSeconds", 1))
        try:
            connection.request("GET", get["path"])
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def probe(self):
        probe = self.container["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            if self.ask(probe) or self.ended.wait(probe["periodSeconds"]):
                break
        else:
            self.faults.append("did not start")
        names = ("readinessProbe", "livenessProbe")
        due, failures = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
        while not self.ended.wait(0.1):
            for name in names:
                probe = self.container[name]
                if time.monotonic() < due[name]:
                    continue
                due[name] = time.monotonic() + probe["periodSeconds"]
                failures[name] = 0 if self.ask(probe) else failures[name] + 1
                failed = failures[name] >= probe["failureThreshold"]
                if name == "readinessProbe" and (failed or not failures[name]):
                    self.ready = not failed
                elif failed:
                    self.faults.append("the liveness probe failed")

    def wait_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.ready:
            assert time.monotonic() < deadline and self.running.child.poll() is None, self.running.log.read_text()
            time.sleep(0.05)

    def terminate(self):
        """The hook, SIGTERM, and SIGKILL if the grace period ends first, which is a fault."""
        self.terminating = True
        grace = self.spec["terminationGracePeriodSeconds"]
        pause = self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        time.sleep(pause)
        # From here on, a failed probe is expected.
        self.ended.set()
        self.thread.join()
        self.running.signal("TERM")
        code = self.running.wait(grace - pause)
        if code != 0:
            self.faults.append(f"exit code {code} after SIGTERM")
        self.remove()

    def remove(self):
        self.ended.set()
        self.thread.join()
        self.running.remove()
        self.volumes.remove()


class Service:
    """Which pods new connections go to. It notices changes late."""

    def __init__(self, pods):
        self.pods, self.known, self.changes = pods, [], []
        self.lock = threading.Lock()

    def hosts(self):
        with self.lock:
            now = time.monotonic()
            self.changes.append((now, [pod.host for pod in self.pods if pod.ready and not pod.terminating]))
            while self.changes and self.changes[0][0] <= now - ENDPOINTS_LAG_SECONDS:
                self.known = self.changes.pop(0)[1]
            return self.known


def new_host(net, site, name):
    """A host with the issuer's documents, which brokers in development mode fetch from loopback."""
    host = net.host(name)
    site.serve_issuer(host)
    return host
