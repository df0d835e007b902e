"""Hosts in network namespaces, joined by a bridge, with links that can be cut.

`isolate` first moves the calling program into namespaces of its own. So nothing leaks: when the program ends, however it
ends, the kernel ends its processes and removes its links.
"""

import os
import pathlib
import shutil
import subprocess
import sys

SUBNET = "10.77.0"
BRIDGE_ADDRESS = f"{SUBNET}.254"
INSIDE = "VOUCHSAFE_TEST_ISOLATED"


def unavailable():
    """Why namespaces can't be used here, or nothing."""
    for tool in ("ip", "unshare", "setpriv", "openssl"):
        if not shutil.which(tool):
            return f"`{tool}` is not installed"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    probe = ["unshare", "--net", "--mount", "--pid", "--fork", "ip", "link", "add", "type", "veth"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"this machine allows no network namespaces: {done.stderr.strip()}" if done.returncode else None


def isolate():
    """Runs this program again, in a network, a mount and a process namespace of its own. Returns inside of them."""
    if os.environ.get(INSIDE) != "yes":
        os.environ[INSIDE] = "yes"
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", [*command, sys.executable, *sys.argv])
    names = pathlib.Path("/run/netns")
    names.mkdir(exist_ok=True)
    ip("link", "set", "lo", "up")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(names)], check=True)


def ip(*arguments, host=None):
    inside = ["-n", host] if host else []
    subprocess.run(["ip", *inside, *map(str, arguments)], check=True)


def scratch():
    """A folder in memory that ends with this program. Other users can enter it, as whom servers run."""
    folder = pathlib.Path("/run/vouchsafe-test")
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder)], check=True)
    return folder


class Network:
    """The bridge, on which this program has `BRIDGE_ADDRESS`."""

    def __init__(self):
        self.hosts = []
        ip("link", "add", "bridge", "type", "bridge", "forward_delay", 0)
        ip("address", "add", f"{BRIDGE_ADDRESS}/24", "dev", "bridge")
        ip("link", "set", "bridge", "up")

    def host(self, name):
        host = Host(name, f"{SUBNET}.{len(self.hosts) + 1}")
        self.hosts.append(host)
        return host

    def close(self):
        for host in self.hosts:
            # The kernel removes a namespace some time later.
            ip("link", "del", host.link)
            ip("netns", "del", host.name)
        ip("link", "del", "bridge")


class Host:
    """A host with one link to the bridge."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        # Names of links are short.
        self.link = f"to-{address}"
        ip("netns", "add", name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", self.link, "master", "bridge", "up")
        ip("address", "add", f"{address}/24", "dev", "eth0", host=name)
        for link in ("lo", "eth0"):
            ip("link", "set", link, "up", host=name)

    def command(self, *arguments):
        """The command line that runs something on this host."""
        return ["ip", "netns", "exec", self.name, *map(str, arguments)]

    def cut(self):
        """Nothing reaches this host, and nothing leaves it."""
        ip("link", "set", self.link, "down")

    def heal(self):
        ip("link", "set", self.link, "up")

    def send_nothing_to(self, other):
        """Packets to the other host get lost; those from it arrive."""
        ip("route", "add", "blackhole", other.address, host=self.name)

    def send_again_to(self, other):
        ip("route", "del", "blackhole", other.address, host=self.name)
