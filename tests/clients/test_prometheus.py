"""deploy/prometheus and deploy/grafana: promtool's checks, and a real Prometheus that scrapes a broker, a gateway and an
exporter."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import requests

import broker
import pages
from test_hsm import Hsm, HsmSetup, url
from test_operations import exchange
from test_sinks import Exporter

ALERTS = broker.REPO / "deploy/prometheus/alerts.yml"
WAIT_SECONDS = 60


def programs():
    done = subprocess.run([broker.REPO / "scripts/prometheus"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


def promtool(*arguments, **options):
    done = subprocess.run(
        [programs() / "promtool", *arguments], cwd=ALERTS.parent, text=True, check=False, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip
    return done.returncode, done.stdout


class Alerts(unittest.TestCase):
    """The rules as text."""

    text = ALERTS.read_text()
    names = re.findall(r"- alert: (\w+)", text)

    def test_configuration_and_rules_are_valid(self):
        self.assertEqual(promtool("check", "config", "prometheus.yml")[0], 0)
        code, output = promtool("check", "rules", "alerts.yml")
        self.assertEqual(code, 0, output)

    def test_routes_lead_pages_to_whoever_is_on_call(self):
        def amtool(*arguments):
            command = [programs() / "amtool", *arguments]
            done = subprocess.run(command, cwd=ALERTS.parent, capture_output=True, text=True, check=False, timeout=60)
            return done.returncode, done.stdout.strip()

        self.assertEqual(amtool("check-config", "alertmanager.yml")[0], 0)
        config = "--config.file=alertmanager.yml"
        severities = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", self.text))
        self.assertEqual(set(severities), set(self.names))
        for name, severity in severities.items():
            expected = {"page": "on-call", "ticket": "tickets"}[severity]
            self.assertEqual(amtool("config", "routes", "test", config, f"alertname={name}", f"severity={severity}"), (0, expected))

    def test_each_alert_fires_and_is_silent(self):
        code, output = promtool("test", "rules", "alerts_test.yml")
        self.assertEqual(code, 0, output)
        tests = (ALERTS.parent / "alerts_test.yml").read_text()
        for name in self.names:
            for outcome in ("fires", "is silent"):
                self.assertIn(f"- name: {name} {outcome}", tests)

    def test_each_alert_has_severity_summary_and_runbook(self):
        for block in re.split(r"- alert: ", self.text)[1:]:
            name = block.split("\n", 1)[0]
            self.assertRegex(block, r"severity: (page|ticket)\n", name)
            self.assertRegex(block, r"summary: '.+'\n", name)
            url = re.search(r"runbook_url: https://github\.com/vouchsafe/vouchsafe/blob/main/docs/(.*)\n", block)[1]
            page, _, anchor = url.partition("#")
            headings = re.findall(r"^#+ (.*)$", (pages.DOCS / page).read_text(), re.MULTILINE)
            self.assertTrue(not anchor or anchor in [heading.lower() for heading in headings], url)

    def test_slugs_are_documented(self):
        known = "\n".join(pages.rows("operations/reference.md", "Errors"))
        for pattern in set(re.findall(r'slug=~?"([^"]*)"', self.text)):
            expanded = re.sub(r"^(\w+\.)\((.*)\)$", lambda m: "|".join(m[1] + it for it in m[2].split("|")), pattern)
            for slug in expanded.split("|"):
                self.assertIn(f"`{slug}`", known + "`issued`")


class MeteredHsm(Hsm):
    def config(self, issuer, sha256):
        self.metrics = f"127.0.0.1:{broker.free_port()}"
        return f'metrics_listen = "{self.metrics}"\n' + super().config(issuer, sha256)


class MeteredSetup(HsmSetup):
    """A broker and a gateway with metrics."""

    hsm_type = MeteredHsm
    metrics = None

    def start_broker(self, *arguments):
        self.metrics = self.metrics or f"127.0.0.1:{broker.free_port()}"
        super().start_broker("--metrics-listen", self.metrics, *arguments)


class Scraped(unittest.TestCase):
    """Prometheus, a broker and a gateway, on free ports."""

    @classmethod
    def setUpClass(cls):
        cls.setup = MeteredSetup()
        cls.addClassCleanup(cls.setup.__exit__)
        cls.setup.__enter__()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-prometheus-"))
        cls.exporter_metrics = f"127.0.0.1:{broker.free_port()}"
        sinks = ("--to", f"file:{cls.setup.folder}/audit.jsonl", "--metrics-listen", cls.exporter_metrics)
        cls.exporter = cls.enterClassContext(Exporter(cls.setup, cls.setup.folder / "cursor", *sinks))
        text = (ALERTS.parent / "prometheus.yml").read_text().replace("interval: 15s", "interval: 1s")
        addresses = [("127.0.0.1:9464", cls.setup.metrics), ("127.0.0.1:9480", cls.setup.hsm.metrics)]
        for old, new in (*addresses, ("127.0.0.1:9470", cls.exporter_metrics)):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (cls.folder / "prometheus.yml").write_text(text)
        (cls.folder / "alerts.yml").write_text(ALERTS.read_text())
        address = f"127.0.0.1:{broker.free_port()}"
        cls.url = f"http://{address}"
        log = open(cls.folder / "log", "wb")
        cls.addClassCleanup(log.close)
        cls.process = subprocess.Popen(
            [programs() / "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             f"--web.listen-address={address}"], cwd=cls.folder, stdout=log, stderr=log,
        )  # fmt: skip
        cls.addClassCleanup(cls.process.wait)
        cls.addClassCleanup(cls.process.terminate)

    def get(self, path, **parameters):
        """The data of an answer of Prometheus; None until it answers."""
        try:
            return requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()["data"]
        except requests.ConnectionError:
            return None

    def eventually(self, what, look):
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.2)
        self.fail(f"timed out waiting for {what}\n{(self.folder / 'log').read_text()[-2000:]}")

    def value(self, query):
        """The first value of a query; None if it has none, or no number."""
        data = self.get("query", query=query)
        values = [float(one["value"][1]) for one in data["result"]] if data else []
        return values[0] if values and values[0] == values[0] else None

    def load(self):
        """An issued token, a denial, and a malformed request."""
        self.assertEqual(exchange(self.setup).status_code, 200)
        self.assertEqual(exchange(self.setup, audience="https://unknown.example").json()["error"], "invalid_target")
        self.assertEqual(requests.post(f"{self.setup.broker}/token", data={"a": "b"}, timeout=10).status_code, 400)

    def test_indicators_have_values_and_nothing_fires(self):
        def measured():
            self.load()
            return self.value("job:vouchsafe_exchanges:rate5m") and self.value("job:vouchsafe_slow_exchanges:ratio_rate5m") is not None

        self.eventually("exchanges in the recording rules", measured)
        self.assertEqual(self.value("job:vouchsafe_exchange_failures:ratio_rate5m"), 0, "denials are answers")
        for job in ("vouchsafe", "hsm-gateway"):
            self.eventually(job, lambda: self.value(f'up{{job="{job}"}}') == 1)
        groups = self.eventually(
            "an evaluation of each rule",
            lambda: (found := self.get("rules")) and all(
                rule["health"] == "ok" for group in found["groups"] for rule in group["rules"]
            ) and found["groups"],
        )  # fmt: skip
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertEqual({rule["name"] for rule in rules if rule["type"] == "alerting"}, set(Alerts.names))
        self.assertEqual([rule["name"] for rule in rules if rule.get("state") == "firing"], [])

    def test_panels_of_dashboards_have_values(self):
        dashboards = {path.stem: json.loads(path.read_text()) for path in (broker.REPO / "deploy/grafana").glob("*.json")}
        self.assertEqual(set(dashboards), {"vouchsafe", "executive", "oncall", "debug"})
        self.assertEqual(len({dashboard["uid"] for dashboard in dashboards.values()}), len(dashboards))
        for name, dashboard in dashboards.items():
            with self.subTest(name):
                panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
                self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
                self.check_panels(panels)

    def check_panels(self, panels):
        def empty():
            self.load()
            exchange(self.setup, audience=url("hsm-es256"), scope="")
            return [
                (panel["title"], target["expr"]) for panel in panels for target in panel["targets"]
                if self.value(re.sub(r"\$(job|instance)\b", ".*", target["expr"]).replace("$__rate_interval", "1m")) is None
            ]  # fmt: skip

        # Nothing has failed, no signature was refused, and nothing expires.
        unused = {"Answers with 5xx", "Seeds and signatures", "Expires next"}
        self.eventually("values of all panels", lambda: {title for title, _ in empty()} <= unused)
        for panel in panels:
            self.assertTrue(panel["title"] and panel["description"].endswith("."), panel)
            self.assertIn("unit", panel["fieldConfig"]["defaults"])

    def test_commands_of_the_runbook_run(self):
        self.load()
        variables = {"issuer": self.setup.broker, "development": "true", **self.setup.variables()}
        environment = {
            **os.environ, "PATH": f"{broker.VOUCHSAFE.parent}:{os.environ['PATH']}",
            **{f"SPIN_VARIABLE_{name.upper()}": value.removeprefix("@") for name, value in variables.items() if value[0] != "@"},
            "SPIN_VARIABLE_GATEWAY_TOKEN": (self.setup.hsm.folder / "gateway-token").read_text().strip(),
        }  # fmt: skip
        blocks = [block for block in pages.blocks("runbooks/alerts.md") if block.language == "sh"]
        settings, *blocks = (block.text for block in blocks)
        settings = settings.replace("https://broker.example", self.setup.broker)
        settings = settings.replace("127.0.0.1:9464", self.setup.metrics)
        environment["export_metrics"] = f"http://{self.exporter_metrics}"
        outputs = []
        for text in blocks:
            text = settings + text.replace("/var/lib/vouchsafe", "state")
            done = subprocess.run(
                ["bash", "-c", text], cwd=self.setup.folder, env=environment, capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip
            # `grep` ends with 1 if there is nothing to see.
            self.assertIn(done.returncode, (0, 1), text + done.stdout + done.stderr)
            self.assertEqual(done.stderr, "", text)
            outputs.append(done.stdout)
        everything = "".join(outputs)
        for expected in ('"status":"ready"', 'slug="issued"', "vouchsafe_bundle_info{digest=", "ok "):
            self.assertIn(expected, everything)

    def test_a_broker_that_ended_is_down(self):
        self.setup.processes[-1].stop()
        query = 'ALERTS{alertname="VouchsafeDown"}'
        self.eventually("the alert", lambda: self.value(query) == 1)
        self.setup.restart_broker()
        self.eventually("its end", lambda: self.value('up{job="vouchsafe"}') == 1)

    def test_every_metric_of_the_rules_exists(self):
        self.load()
        exposed = {}
        jobs = (("vouchsafe", self.setup.metrics), ("hsm", self.setup.hsm.metrics), ("export", self.exporter_metrics))
        for job, address in jobs:
            text = requests.get(f"http://{address}/metrics", timeout=10).text
            code, output = promtool("check", "metrics", input=text)
            self.assertEqual((code, output), (0, ""), job)
            exposed.update(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        used = set(re.findall(r"\b((?:vouchsafe|hsm_gateway)_\w+)\b", re.sub(r"job:\w+:\w+|name: .*", "", Alerts.text)))
        used = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
        # Of things that expire, which this broker has none of.
        self.assertLessEqual(used - {"vouchsafe_key_expiry_timestamp_seconds"}, set(exposed))

    def test_exemplars_lead_to_traces(self):
        self.load()
        accept = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.1"}
        for address in (self.setup.metrics, self.setup.hsm.metrics, self.exporter_metrics):
            answer = requests.get(f"http://{address}/metrics", headers=accept, timeout=10)
            self.assertEqual(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.assertTrue(answer.text.endswith("# EOF\n"))
        text = requests.get(f"http://{self.setup.metrics}/metrics", headers=accept, timeout=10).text
        traces = set(re.findall(r'# \{trace_id="([0-9a-f]{32})"\} [0-9.]+ [0-9.]+$', text, re.MULTILINE))
        log = self.setup.logs()
        self.assertTrue(traces)
        self.assertTrue(all(f'"trace_id":"{trace}"' in log for trace in traces))
        # Prometheus asks for this format, and understands it.
        self.eventually("a scrape", lambda: self.value('up{job="vouchsafe-export"}') == 1)


if __name__ == "__main__":
    unittest.main()
