"""Runs the tests of all stock clients against one broker and counts the results."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import unittest

import broker

HERE = pathlib.Path(__file__).resolve().parent


def run_python():
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(
        unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py")
    )
    failed = len(result.failures) + len(result.errors)
    return result.testsRun - failed, failed


def run_node(node):
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", *sorted(map(str, HERE.glob("*.test.mjs")))],
        cwd=HERE, stdout=subprocess.PIPE, text=True, timeout=300, check=False,
    )  # fmt: skip
    print(done.stdout)
    passed, failed = (re.search(rf"^# {word} (\d+)$", done.stdout, re.MULTILINE) for word in ("pass", "fail"))
    if not passed or not failed:
        return 0, 1
    # The process may fail although no test does.
    return int(passed[1]), max(int(failed[1]), int(done.returncode != 0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", default="node")
    arguments = parser.parse_args()
    with broker.Setup() as setup:
        os.environ["VOUCHSAFE_TEST_BROKER"] = setup.broker
        os.environ["VOUCHSAFE_TEST_DEV_ISSUER"] = setup.dev_issuer
        os.environ["VOUCHSAFE_TEST_STATE"] = str(setup.folder / "state")
        os.environ["VOUCHSAFE_TEST_NODE"] = arguments.node
        counts = [run_python(), run_node(arguments.node)]
        passed, failed = (sum(column) for column in zip(*counts))
        if failed:
            print(setup.logs())
    print(f"stock clients: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
