"""`vouchsafe audit export`: its events against the schemas of OCSF."""

import json
import os
import subprocess
import unittest

import jsonschema
import ocsf_json_schema

import broker
from test_revocation import exchange

VERSION = "1.8.0"


class Ocsf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        schemas = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema(version=VERSION))
        schema = schemas.get_class_schema(class_name="authentication", profiles=["security_control"])
        cls.schema = jsonschema.Draft202012Validator(schema)

    def test_events_are_those_of_the_schema(self):
        exchange(subject="repo:octo-org/ocsf").raise_for_status()
        self.assertEqual(exchange(subject="repo:octo-org/ocsf", scope="no-such-scope").status_code, 400)
        done = subprocess.run(
            [broker.VOUCHSAFE, "audit", "export", os.environ["VOUCHSAFE_TEST_STATE"], "--format", "ocsf", "--since", "1h"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({event["status_id"] for event in events}, {1, 2})
        for event in events:
            self.assertEqual([error.message for error in self.schema.iter_errors(event)], [])

    def test_schema_refuses_another_event(self):
        self.assertNotEqual(list(self.schema.iter_errors({"class_uid": 3002})), [])
