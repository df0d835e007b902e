"""scripts/image: images of the programs that were built, and pods of the broker's with the manifests of deploy/kubernetes."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

import broker

PROGRAMS = broker.VOUCHSAFE.parent
COMPONENTS = broker.REPO / "target/wasm32-wasip2/component"
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
# The loader and the libraries that a Rust program is linked with on Debian.
LIBRARY = re.compile(r"(usr/)?lib(64)?/.*(ld-linux[^/]*|libc|libgcc_s|libm)\.so\.[0-9]+")


def script(name, *arguments):
    done = subprocess.run(
        [broker.REPO / "scripts" / name, *arguments], env={**os.environ, **EPOCH}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Image:
    """An OCI archive made from an archive of the programs that were built."""

    def __init__(self, folder, pack, *arguments):
        script("dist", pack, *arguments, folder)
        (archive,) = folder.glob("*.tar.gz")
        self.printed = [script("image", archive, folder / place) for place in ("one", "other")]
        (self.file,) = (folder / "one").glob("*.oci.tar")
        self.other = folder / "other" / self.file.name

    def blob(self, descriptor):
        with tarfile.open(self.file) as files:
            return files.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()

    def read(self):
        """Its configuration and its files."""
        with tarfile.open(self.file) as files:
            index = json.load(files.extractfile("index.json"))
        manifest = json.loads(self.blob(index["manifests"][0]))
        (layer,) = manifest["layers"]
        path = self.file.with_name("layer.tar.gz")
        path.write_bytes(self.blob(layer))
        with tarfile.open(path) as files:
            return json.loads(self.blob(manifest["config"])), {it.name.removeprefix("./"): it for it in files}


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="vouchsafe-images-")
        cls.addClassCleanup(folder.cleanup)
        places = [pathlib.Path(folder.name) / name for name in ("broker", "gateway")]
        cls.broker = Image(places[0], "--pack", PROGRAMS, COMPONENTS)
        cls.gateway = Image(places[1], "--pack-gateway", PROGRAMS)

    def test_same_archive_gives_same_image(self):
        for image in (self.broker, self.gateway):
            self.assertEqual(image.printed[0], image.printed[1])
            self.assertEqual(image.file.read_bytes(), image.other.read_bytes())

    def test_another_tool_reads_the_image(self):
        for image in (self.broker, self.gateway):
            command = ["skopeo", "inspect", f"oci-archive:{image.file}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            name, digest = image.printed[0].split(" ")
            found = json.loads(done.stdout)
            self.assertEqual(found["Digest"], digest)
            self.assertEqual(name, f"{found['Labels']['org.opencontainers.image.title']}:0.1.0")

    def test_has_only_the_program_and_what_it_needs(self):
        for image, program in [(self.broker, "vouchsafe"), (self.gateway, "hsm-gateway")]:
            settings, files = image.read()
            self.assertEqual(settings["config"]["User"], "65532:65532")
            self.assertEqual(settings["config"]["Entrypoint"], [f"/usr/bin/{program}"])
            executable = [name for name, it in files.items() if it.isfile() and it.mode & 0o111 and "lib" not in name]
            self.assertEqual(executable, [f"usr/bin/{program}"])
            libraries = [name for name, it in files.items() if name.startswith(("lib", "usr/lib")) and it.isfile()]
            self.assertTrue(libraries)
            for name in libraries:
                self.assertRegex(name, LIBRARY)
            for name, it in files.items():
                self.assertFalse(it.mode & 0o6022, f"{name} has mode {it.mode:o}")
                if it.uid != 0:
                    self.assertTrue(it.isdir() and name.startswith("var/"), name)
            certificates = [name for name in files if name.startswith("etc/ssl/")]
            self.assertIn("etc/ssl/certs/ca-certificates.crt", certificates)

    def isolated(self, program, *arguments):
        """What a program of tests/hosts prints, which runs in namespaces of its own."""
        command = [sys.executable, broker.REPO / "tests/hosts" / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        skipped = re.search(r"^\w+: skipped: (.*)$", done.stdout, re.MULTILINE)
        if skipped:
            self.skipTest(skipped[1])
        return done.stdout

    def test_pods_serve_tokens_while_they_are_replaced(self):
        printed = self.isolated("pods.py", self.broker.file, broker.KUBECTL)
        self.assertRegex(printed, r"overlay sqlite: exchanged a token")
        self.assertIn("overlay hsm: waits for its gateway", printed)
        self.assertRegex(printed, r"overlay postgresql: replaced 2 pods during [1-9]\d+ exchanges")

    def test_gateway_uses_a_module_that_is_mounted(self):
        module = os.environ.get("VOUCHSAFE_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
        self.assertIn("was ready", self.isolated("gateway.py", self.gateway.file, module))


if __name__ == "__main__":
    unittest.main()
