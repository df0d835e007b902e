"""Containers from an OCI image, run by crun on a host of the test network."""

import json
import pathlib
import shutil
import subprocess
import tarfile

TOOLS = ("crun", "umoci")


def unavailable():
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"`{missing[0]}` is not installed" if missing else None


def prepare():
    """For a program in a mount namespace of its own: crun refuses machines with both versions of control groups."""
    groups = "/sys/fs/cgroup"
    subprocess.run(["umount", "--lazy", "--recursive", groups], check=False, capture_output=True)
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", groups], check=True)


class Image:
    """An unpacked OCI archive: a root file system, and how its configuration says to run it."""

    def __init__(self, archive, folder):
        layout, self.bundle = folder / "layout", folder / "bundle"
        with tarfile.open(archive) as files:
            files.extractall(layout, filter="data")
        (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
        tag = manifest["annotations"]["org.opencontainers.image.ref.name"]
        unpack = ["umoci", "unpack", "--image", f"{layout}:{tag}", str(self.bundle)]
        subprocess.run(unpack, check=True, capture_output=True)
        self.settings = json.loads((self.bundle / "config.json").read_text())
        self.root = self.bundle / "rootfs"
        # Without those that replace the image's command.
        self.entrypoint = self.settings["process"]["args"][:1]
        self.user = self.settings["process"]["user"]


class Container:
    """A container as the most restrictive Pod Security Standard allows it: read-only, no capability, no other user."""

    def __init__(self, image, folder, host, mounts, arguments=None, environment=()):
        self.folder = folder
        self.log = folder / "log"
        settings = json.loads(json.dumps(image.settings))
        process = settings["process"]
        if arguments is not None:
            process["args"] = image.entrypoint + arguments
        process["env"] += [f"{name}={value}" for name, value in environment]
        process.update(terminal=False, noNewPrivileges=True, capabilities={}, rlimits=[])
        settings["root"] = {"path": str(image.root), "readonly": True}
        settings["hostname"] = folder.name
        settings["mounts"] = [it for it in settings["mounts"] if it["type"] not in ("cgroup", "sysfs", "mqueue", "devpts")]
        settings["mounts"] += mounts
        namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
        settings["linux"] = {"namespaces": [*namespaces, {"type": "network", "path": f"/run/netns/{host.name}"}]}
        (folder / "config.json").write_text(json.dumps(settings))
        self.crun = ["crun", "--cgroup-manager=disabled", f"--root={folder}/crun"]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [*self.crun, "run", "--bundle", str(folder), folder.name], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def signal(self, name):
        subprocess.run([*self.crun, "kill", self.folder.name, name], check=True, capture_output=True)

    def wait(self, seconds):
        """The exit code, or nothing if it runs on."""
        try:
            return self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def remove(self):
        subprocess.run([*self.crun, "delete", "--force", self.folder.name], check=False, capture_output=True)
        self.child.wait()


def bind(source, destination, writable):
    options = ["rbind", "nosuid", "nodev", "rw" if writable else "ro"]
    return {"type": "bind", "source": str(pathlib.Path(source)), "destination": destination, "options": options}
