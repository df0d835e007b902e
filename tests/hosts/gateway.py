"""The gateway's image with SoftHSM: `gateway.py ARCHIVE MODULE`. It creates its keys, uses them, and is ready."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

import image
import network

CONFIGURATION = """
listen = "127.0.0.1:8480"
state_dir = "/var/lib/hsm-gateway/state"
development = true

[module]
path = "{module}"
token = "vouchsafe"
pin_file = "pin"

[[group]]
name = "default"
issuer = "http://127.0.0.1:3000"
algorithms = ["ES256"]
epoch_seconds = 3600

[[credential]]
name = "broker"
sha256 = "{hash}"
groups = ["default"]
"""
STATE, SETTINGS = "/var/lib/hsm-gateway", "/etc/hsm-gateway"
READY = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8480/readyz', timeout=5).read().decode())"
READY_SECONDS_MAX, COMMAND_SECONDS_MAX = 60, 60


def say(text):
    print(f"gateway: {text}", flush=True)


def module_files(module, root):
    """The module, and what it is linked with that the image does not have."""
    linked = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"=> (/\S+) ", linked)
    return [module, *(file for file in libraries if not (root / file.lstrip("/")).exists())]


def give(path, user, mode):
    """To the group of the program, as an operator does for files that it must not change."""
    os.chown(path, 0, user)
    path.chmod(mode)


def prepare(folder, module, user):
    """The settings and an empty PKCS#11 token, as files that the container mounts."""
    settings, state = folder / "settings", folder / "state"
    for made in (settings, state, state / "tokens"):
        made.mkdir()
    here, inside = settings / "softhsm2.conf", f"directories.tokendir = {STATE}/tokens\n"
    here.write_text(f"directories.tokendir = {state}/tokens\n")
    initialize = ["softhsm2-util", "--init-token", "--free", "--label", "vouchsafe", "--so-pin", "0000", "--pin", "1234"]
    subprocess.run(initialize, env={**os.environ, "SOFTHSM2_CONF": str(here)}, check=True, capture_output=True)
    here.write_text(inside)
    (settings / "pin").write_text("1234")
    (settings / "gateway.toml").write_text(CONFIGURATION.format(module=module, hash="0" * 64))
    for file in settings.iterdir():
        give(file, user, 0o640)
    give(settings, user, 0o750)
    subprocess.run(["chown", "-R", f"{user}:{user}", str(state)], check=True)
    state.chmod(0o700)
    return [image.bind(settings, SETTINGS, False), image.bind(state, STATE, True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("module")
    arguments = parser.parse_args()
    reason = network.unavailable() or image.unavailable()
    if reason:
        say(f"skipped: {reason}")
        return 0
    network.isolate()
    image.prepare()
    folder = network.scratch()
    unpacked = image.Image(arguments.archive, folder)
    host = network.Network().host("gateway")
    mounts = prepare(folder, arguments.module, unpacked.user["gid"])
    mounts += [image.bind(file, file, False) for file in module_files(arguments.module, unpacked.root)]
    environment = [("SOFTHSM2_CONF", f"{SETTINGS}/softhsm2.conf")]

    def start(*command):
        place = folder / f"run-{command[0]}"
        place.mkdir()
        full = [*command, "--config", f"{SETTINGS}/gateway.toml"]
        return image.Container(unpacked, place, host, mounts, full, environment)

    for command in ("init", "doctor"):
        done = start(command)
        code = done.wait(COMMAND_SECONDS_MAX)
        assert code == 0, f"{command}: {code}: {done.log.read_text()}"
    serving = start("serve")
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            asked = subprocess.run(host.command(sys.executable, "-c", READY), capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                break
            assert time.monotonic() < deadline and serving.wait(0) is None, serving.log.read_text()
            time.sleep(0.2)
        serving.signal("TERM")
        code = serving.wait(COMMAND_SECONDS_MAX)
    finally:
        serving.remove()
    assert code == 0, f"exit code {code}: {serving.log.read_text()}"
    assert '"hsm":"up"' in asked.stdout, asked.stdout
    say("created keys with SoftHSM, used them, and was ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
