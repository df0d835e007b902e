"""Runners of CI platforms, as far as the files in deploy/ci use them.

They follow the platforms' documentation: what they interpolate, how they start the shell, which files and log commands
they read, and what they mask. Whatever a file uses beyond that is an error, so that no test passes by accident.
"""

import os
import pathlib
import re
import subprocess

import yaml

SECONDS_MAX = 60


def shell(script, environment, folder):
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], env=environment, cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip


class GitHubJob:
    """Runs a composite action and further steps in one job, with a masked log."""

    def __init__(self, folder, environment):
        self.folder = pathlib.Path(folder)
        self.environment = {**environment, "GITHUB_ACTIONS": "true", "CI": "true", "RUNNER_TEMP": str(folder)}
        self.masks, self.log = [], ""

    def action(self, file, inputs):
        """Returns whether it succeeded, and its outputs."""
        action = yaml.safe_load(file.read_text())
        assert action["runs"]["using"] == "composite", action["runs"]
        unknown = set(inputs) - set(action["inputs"])
        assert not unknown, unknown
        # A missing input is empty, even if it is `required`.
        values = {name: inputs.get(name, declared.get("default", "")) for name, declared in action["inputs"].items()}
        outputs = {}
        for step in action["runs"]["steps"]:
            assert set(step) <= {"id", "shell", "env", "run"} and step["shell"] == "bash", step
            assert "${{" not in step["run"], "an expression in a script is an injection"
            variables = {name: self.expression(text, values, {}) for name, text in step.get("env", {}).items()}
            succeeded, outputs[step.get("id")] = self.step(step["run"], variables)
            if not succeeded:
                return False, {}
        declared = action["outputs"].items()
        return True, {name: self.expression(output["value"], values, outputs) for name, output in declared}

    def expression(self, text, inputs, outputs):
        def value(found):
            match found[1].strip().split("."):
                case ["inputs", name]:
                    return inputs[name]
                case ["steps", step, "outputs", name]:
                    return outputs[step].get(name, "")
            raise AssertionError(f"not an expression that this runner knows: {found[0]}")

        return re.sub(r"\$\{\{(.*?)\}\}", value, str(text))

    def step(self, script, variables=()):
        """Runs a script as a step; returns whether it succeeded, and its outputs."""
        files = {name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        paths = {name: str(file) for name, file in files.items()}
        done = shell(script, {**self.environment, **dict(variables), **paths}, self.folder)
        self.read_log(done.stdout)
        self.environment.update(self.pairs(files["GITHUB_ENV"]))
        return done.returncode == 0, self.pairs(files["GITHUB_OUTPUT"])

    def read_log(self, text):
        for line in text.splitlines():
            if command := re.match(r"\s*::([\w-]+)(?: .*)?::(.*)$", line):
                assert command[1] == "add-mask", f"unexpected command: {line}"
                self.masks.append(command[2])
                line = "::add-mask::***"
            for mask in self.masks:
                line = line.replace(mask, "***")
            self.log += line + "\n"

    def pairs(self, file):
        """`name=value` or `name<<DELIMITER`, as in files of environment variables and outputs."""
        pairs, lines = {}, iter(file.read_text().splitlines())
        for line in lines:
            if heredoc := re.fullmatch(r"([^=<]+)<<(.+)", line):
                value = []
                while (line := next(lines)) != heredoc[2]:
                    value.append(line)
                pairs[heredoc[1]] = "\n".join(value)
            else:
                name, separator, value = line.partition("=")
                assert separator and name, f"invalid line: {line}"
                pairs[name] = value
        return pairs


def gitlab_job(component, inputs, job, environment, folder):
    """Runs a job of a pipeline that includes the component. Returns the finished process."""
    specification, content = component.read_text().split("\n---\n")
    declared = yaml.safe_load(specification)["spec"]["inputs"]
    assert set(inputs) <= set(declared), inputs
    values = {name: inputs[name] if name in inputs else rule["default"] for name, rule in declared.items()}
    content = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: values[found[1]], content)
    assert "$[[" not in content
    jobs = {**yaml.safe_load(content), "job": job}
    merged = {**jobs[job["extends"]], **job}
    assert set(merged) <= {"extends", "id_tokens", "variables", "before_script", "script"}, merged
    # Variables may name other variables; `$` is not expanded here, so it must not occur.
    assert not any("$" in value for value in merged["variables"].values())
    tokens = {name: token["aud"] for name, token in merged["id_tokens"].items()}
    issued = {name: environment["id_token"](audience) for name, audience in tokens.items()}
    variables = {**environment["variables"], **merged["variables"], **issued, "GITLAB_CI": "true", "CI": "true"}
    return shell("\n".join([*merged.get("before_script", []), *merged["script"]]), variables, folder)


def buildkite_job(plugin, configuration, command, environment, folder):
    """Runs the plugin's `environment` hook and then the command. Returns the finished process."""
    schema = yaml.safe_load((plugin / "plugin.yml").read_text())["configuration"]
    assert set(configuration) <= set(schema["properties"]) and set(schema["required"]) <= set(configuration)
    names = {name: f"BUILDKITE_PLUGIN_VOUCHSAFE_{name.upper().replace('-', '_')}" for name in configuration}
    variables = {names[name]: value for name, value in configuration.items()}
    # The agent's wrapper sources the hook without `-e`, and stops if it exits.
    script = f'set +e; . "{plugin}/hooks/environment"; status=$?; set -e; [ "$status" = 0 ]; {command}'
    return shell(script, {**environment, **variables, "BUILDKITE": "true", "CI": "true"}, folder)


def circleci_job(orb, parameters, command, environment, folder):
    """Runs the orb's command and then another. Returns the finished processes."""
    content = orb.read_text()
    declared = yaml.safe_load(content)["commands"]["token"]["parameters"]
    assert set(parameters) <= set(declared), parameters
    values = {name: parameters[name] if name in parameters else rule["default"] for name, rule in declared.items()}
    (step,) = yaml.safe_load(content)["commands"]["token"]["steps"]
    assert "<<" not in step["run"]["command"], "a parameter in a script is an injection"

    def value(text):
        return re.sub(r"<< parameters\.([\w-]+) >>", lambda found: values[found[1]], text)

    variables = {name: value(text) for name, text in step["run"]["environment"].items()}
    environment = {**environment, "CIRCLECI": "true", "CI": "true", "BASH_ENV": os.path.join(folder, "bash_env")}
    pathlib.Path(environment["BASH_ENV"]).touch(mode=0o600)
    first = shell(step["run"]["command"], {**environment, **variables}, folder)
    return first, shell(command, environment, folder) if first.returncode == 0 else None
