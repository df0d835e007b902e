"""The commands of docs/policy/proofs.md do what the page says, from the top of the page to its end."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import pages
from broker import VOUCHSAFE

ROOT = pathlib.Path(__file__).resolve().parents[2]


def timeless(text):
    """The output without times and the version of the solver."""
    return re.sub(r"cvc5 \S+", "cvc5 V", re.sub(r"\b(\d+|N) ms", "N ms", text))


class Guide(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copytree(ROOT / "policies", self.folder / "policies")
        (self.folder / "scripts").mkdir()
        os.symlink(ROOT / "scripts" / "solver", self.folder / "scripts" / "solver")
        self.blocks = pages.blocks("policy/proofs.md")

    def run_shell(self, text, solver=None):
        environment = {**os.environ, "PATH": f"{pathlib.Path(VOUCHSAFE).parent}:{os.environ['PATH']}"}
        environment.pop("CVC5", None)
        if solver:
            environment["CVC5"] = solver
        return subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def commands(self, heading):
        return [block.text for block in self.blocks if block.heading == heading and block.language == "sh"]

    def outputs(self, heading):
        return [block.text for block in self.blocks if block.heading == heading and block.language == ""]

    def test_page_works_from_top_to_end(self):
        (install,) = self.commands("Install the solver")
        solver = self.run_shell(install + "echo $CVC5").stdout.strip()
        self.assertTrue(solver.endswith("/cvc5"), solver)
        for text in self.commands("Write a guardrail"):
            done = self.run_shell(text, solver)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(timeless(done.stdout), timeless(self.outputs("Write a guardrail")[0]))
        (violate,) = self.commands("See it violated")
        done = self.run_shell(violate, solver)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(timeless(done.stdout), timeless(self.outputs("See it violated")[0]))
        self.assertEqual(self.run_shell("vouchsafe policy test my-policies").returncode, 1)
        (fix,) = self.commands("Fix the rule")
        done = self.run_shell(fix, solver)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((self.folder / "my-policies/guardrails/proof.toml").exists())
        checked = self.run_shell("vouchsafe policy check my-policies")
        self.assertEqual(checked.returncode, 0, checked.stdout)
        self.run_shell("sed -i s/read/write/ my-policies/rules/oops.cedar")
        checked = self.run_shell("vouchsafe policy check my-policies")
        self.assertIn("error[proof-stale]", checked.stdout)


if __name__ == "__main__":
    unittest.main()
