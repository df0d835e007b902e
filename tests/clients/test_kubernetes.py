"""deploy/kubernetes: every overlay as `kubectl kustomize` renders it, checked without a cluster."""

import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

import kubernetes_validate
import yaml

import broker
import pages

FOLDER = broker.REPO / "deploy/kubernetes"
OVERLAYS = ("hsm", "postgresql", "sqlite")
# The oldest version with what the manifests use (`lifecycle.preStop.sleep`), and the newest whose schemas are known.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
# PostgreSQL's default `max_connections`, less those for superusers; and what a broker opens (docs/operations/postgresql.md).
CONNECTIONS_MAX, CONNECTIONS_OF_BROKER = 97, 17
NODE_PORTS_OF_BASE = {"http": 3000, "metrics": 9464}


def render(overlay):
    done = subprocess.run([broker.KUBECTL, "kustomize", FOLDER / "overlays" / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


class Overlay:
    """The objects of an overlay."""

    def __init__(self, name):
        self.name, self.objects = name, render(name)
        self.deployment = self.one("Deployment")
        self.pod = self.deployment["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        self.volumes = {volume["name"]: volume for volume in self.pod["volumes"]}

    def all(self, kind):
        return [it for it in self.objects if it["kind"] == kind]

    def one(self, kind, name=None):
        (found,) = [it for it in self.all(kind) if name in (None, it["metadata"]["name"])]
        return found

    def files(self, volume):
        """The files of a ConfigMap's volume."""
        source = self.volumes[volume]["configMap"]
        data = self.one("ConfigMap", source["name"])["data"]
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        return {item["path"]: data[item["key"]] for item in items}

    def secrets(self):
        return {it["secret"]["secretName"]: name for name, it in self.volumes.items() if "secret" in it}


class Manifests(unittest.TestCase):
    overlays = [Overlay(name) for name in OVERLAYS]

    def test_has_an_overlay_for_each_folder(self):
        self.assertEqual(sorted(path.name for path in (FOLDER / "overlays").iterdir()), list(OVERLAYS))

    def test_matches_the_schemas_of_kubernetes(self):
        for overlay in self.overlays:
            for version in VERSIONS:
                for it in overlay.objects:
                    kubernetes_validate.validate(it, version, strict=True)
        misspelt = yaml.safe_load(yaml.safe_dump(self.overlays[0].deployment))
        misspelt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(misspelt, VERSIONS[0], strict=True)

    def test_selectors_and_ports_match_the_pods(self):
        for overlay in self.overlays:
            ports = {port["name"]: port["containerPort"] for port in overlay.container["ports"]}
            self.assertEqual(ports, NODE_PORTS_OF_BASE)
            arguments = overlay.container["args"]
            self.assertIn(f"--listen=0.0.0.0:{ports['http']}", arguments)
            self.assertIn(f"--metrics-listen=0.0.0.0:{ports['metrics']}", arguments)
            service = overlay.one("Service")
            selectors = [
                service["spec"]["selector"],
                overlay.deployment["spec"]["selector"]["matchLabels"],
                overlay.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
                overlay.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
                *(it["labelSelector"]["matchLabels"] for it in overlay.pod["topologySpreadConstraints"]),
            ]
            for selector in selectors:
                self.assertEqual(selector, overlay.labels)
            self.assertEqual({port["targetPort"] for port in service["spec"]["ports"]}, set(ports))
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self.assertEqual(overlay.container[probe]["httpGet"]["port"], "http")
            self.assertEqual(overlay.pod["serviceAccountName"], overlay.one("ServiceAccount")["metadata"]["name"])
            for scaler in overlay.all("HorizontalPodAutoscaler"):
                target = scaler["spec"]["scaleTargetRef"]
                self.assertEqual((target["kind"], target["name"]), ("Deployment", overlay.deployment["metadata"]["name"]))

    def test_only_the_public_routes_are_public(self):
        for overlay in self.overlays:
            (rule,) = overlay.one("Ingress")["spec"]["rules"]
            paths = {(path["path"], path["pathType"]) for path in rule["http"]["paths"]}
            public = {("/token", "Exact"), ("/.well-known/", "Prefix"), ("/revocations", "Exact"), ("/v/", "Prefix")}
            self.assertEqual(paths, public)
            for path in rule["http"]["paths"]:
                self.assertEqual(path["backend"]["service"], {"name": "vouchsafe", "port": {"name": "http"}})

    def test_mounts_have_their_volumes_and_files(self):
        for overlay in self.overlays:
            for mount in overlay.container["volumeMounts"]:
                volume = overlay.volumes[mount["name"]]
                if "configMap" in volume:
                    # A whole ConfigMap is a folder that everybody may write to, which `serve` refuses.
                    part = mount["subPath"]
                    files = overlay.files(mount["name"])
                    self.assertTrue(any(file == part or file.startswith(f"{part}/") for file in files), mount)
                if "emptyDir" in volume:
                    self.assertEqual(volume["emptyDir"]["medium"], "Memory", mount)
                if "persistentVolumeClaim" in volume:
                    overlay.one("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
            self.assertEqual({mount["name"] for mount in overlay.container["volumeMounts"]}, set(overlay.volumes))
            for source in overlay.container["envFrom"]:
                overlay.one("ConfigMap", source["configMapRef"]["name"])

    def test_secrets_are_those_of_the_page(self):
        """What the files are read for, which volume has them, and the command that creates them."""
        text = "".join(block.text for block in pages.blocks("operations/kubernetes.md"))
        created = {}
        for command in re.findall(r"kubectl create secret generic ((?:.|\\\n)*?[^\\])\n", text):
            name, *options = command.replace("\\\n", " ").split()
            created[name] = {re.match(r"--from-file=([^=]+)=", option)[1] for option in options if option.startswith("--from-file")}
        for overlay in self.overlays:
            files = overlay.files("manifest")
            places = "\n".join([*overlay.container["args"], files["spin-runtime.toml"]])
            read = re.findall(r"/run/secrets/([^/\s\"]+)/([^\s\"]+)", places)
            self.assertTrue(read)
            self.assertEqual({name for name, _ in read}, set(overlay.secrets()))
            for name, key in read:
                self.assertIn(key, created[name])
            mounted = {it["name"]: it["mountPath"] for it in overlay.container["volumeMounts"]}
            for name, volume in overlay.secrets().items():
                self.assertEqual(mounted[volume], f"/run/secrets/{name}")

    def test_pods_meet_the_restricted_standard(self):
        for overlay in self.overlays:
            security = overlay.pod["securityContext"]
            self.assertTrue(security["runAsNonRoot"])
            self.assertEqual((security["runAsUser"], security["runAsGroup"], security["fsGroup"]), (65532,) * 3)
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertEqual(
                overlay.container["securityContext"],
                {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            )
            self.assertFalse(overlay.pod["automountServiceAccountToken"])
            for name, volume in overlay.volumes.items():
                if "secret" in volume:
                    self.assertEqual(volume["secret"]["defaultMode"], 0o400, name)
            self.assertNotIn("latest", overlay.container["image"])

    def test_reaches_only_what_it_needs(self):
        for overlay in self.overlays:
            policy = overlay.one("NetworkPolicy")["spec"]
            self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
            ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
            expected = {"sqlite": {53, 443}, "postgresql": {53, 443, 5432}, "hsm": {53, 443, 5432, 8480}}
            self.assertEqual(ports, expected[overlay.name])
            (dns,) = [to for rule in policy["egress"] for to in rule["to"] if "podSelector" in to]
            self.assertEqual(dns["podSelector"]["matchLabels"], {"k8s-app": "kube-dns"})

    def test_a_pod_ends_within_its_grace_period(self):
        source = (broker.REPO / "crates/host/src/server.rs").read_text()
        drain = int(re.search(r"drain_max: Duration::from_secs\((\d+)\)", source)[1])
        for overlay in self.overlays:
            pause = overlay.container["lifecycle"]["preStop"]["sleep"]["seconds"]
            self.assertGreater(overlay.pod["terminationGracePeriodSeconds"], pause + drain)

    def test_a_pod_may_wait_for_its_database(self):
        for overlay in self.overlays:
            self.assertIn("--wait-ready=2m", overlay.container["args"])
            probe = overlay.container["startupProbe"]
            self.assertGreater(probe["periodSeconds"] * probe["failureThreshold"], 120)
            self.assertEqual(overlay.container["livenessProbe"]["httpGet"]["path"], "/healthz")
            self.assertEqual(overlay.container["readinessProbe"]["httpGet"]["path"], "/readyz")

    def test_only_one_pod_uses_sqlite(self):
        for overlay in self.overlays:
            spec = overlay.deployment["spec"]
            if overlay.name == "sqlite":
                self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}))
                self.assertEqual(overlay.all("HorizontalPodAutoscaler"), [])
                continue
            # The autoscaler sets them.
            self.assertNotIn("replicas", spec)
            scaler = overlay.one("HorizontalPodAutoscaler")["spec"]
            self.assertGreaterEqual(scaler["minReplicas"], 2)
            pods = scaler["maxReplicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]
            self.assertLessEqual(pods * CONNECTIONS_OF_BROKER, CONNECTIONS_MAX)

    def test_bundle_is_complete_and_valid(self):
        policies = FOLDER / "base/policies"
        files = {str(path.relative_to(policies)): path.read_text() for path in policies.rglob("*") if path.is_file()}
        schema = (broker.REPO / "policies/schema.cedarschema").read_text()
        self.assertEqual(files["schema.cedarschema"], schema)
        for overlay in self.overlays:
            mounted = {path.removeprefix("policies/"): text for path, text in overlay.files("bundle").items()}
            self.assertEqual(mounted, files)
            with tempfile.TemporaryDirectory() as folder:
                manifest = pathlib.Path(folder) / "spin.toml"
                manifest.write_text(overlay.files("manifest")["spin.toml"])
                command = [broker.VOUCHSAFE, "policy", "check", policies, "--manifest", manifest]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            # The cases of a bundle stay in its repository.
            self.assertEqual(re.findall(r"^(?:warning|error)\[([a-z-]+)\]", done.stdout, re.MULTILINE), ["rule-without-test"])

    def test_manifests_have_the_components_of_the_repository(self):
        def components(text):
            found = tomllib.loads(text)["component"]
            for component in found.values():
                component["source"] = component["source"].rpartition("/")[2]
                for key in ("allowed_outbound_hosts", "environment", "build"):
                    component.pop(key, None)
                tools = component.get("tool", {}).get("vouchsafe", {}).values()
                for tool in (tool for tool in tools if isinstance(tool, dict)):
                    tool["source"] = tool["source"].rpartition("/")[2]
                    tool.pop("command", None)
            return found

        sqlite, postgres, hsm = [
            components((broker.REPO / file).read_text()) for file in ("spin.toml", "spin.postgres.toml", "spin.hsm.toml")
        ]
        # The HSM's signer with the store on PostgreSQL.
        store = "vouchsafe:store@0.1.0"
        del hsm["store-sqlite"], hsm["broker"]["sqlite_databases"]
        hsm["store-postgres"] = postgres["store-postgres"]
        hsm["broker"]["dependencies"][store] = postgres["broker"]["dependencies"][store]
        expected = {"sqlite": sqlite, "postgresql": postgres, "hsm": hsm}
        for overlay in self.overlays:
            self.assertEqual(components(overlay.files("manifest")["spin.toml"]), expected[overlay.name])


if __name__ == "__main__":
    unittest.main()
