"""Image, compose file and workflow, as far as they can be held without running them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from explain import cli
from explain.keys import Holder, Keys
from explain.settings import Settings, settings

ROOT = Path(__file__).resolve().parents[2]
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text("utf-8")).splitlines()


def instructions(name: str) -> list[str]:
    """Arguments of all instructions of a kind, in order."""
    return [line.split(None, 1)[1] for line in LINES if line.startswith(f"{name} ")]


def test_the_image_runs_as_nobody() -> None:
    assert instructions("USER") == ["10001"]
    last = max(i for i, line in enumerate(LINES) if line.startswith("USER"))
    assert not [line for line in LINES[last:] if line.startswith(("RUN", "COPY", "ADD"))], "nothing as root after it"


def test_the_image_copies_what_there_is() -> None:
    for arguments in instructions("COPY"):
        *sources, _ = [a for a in arguments.split() if not a.startswith("--")]
        assert "--from=build" in arguments or all((ROOT / s).exists() for s in sources), arguments


def test_secrets_beside_the_code_get_into_neither_image_nor_wheel() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".git", ".env", "keys", ".streamlit/secrets.toml"} <= set(ignored)
    assert not [arguments for arguments in instructions("COPY") if arguments.split()[0] in (".", ".streamlit")]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert ".streamlit" not in {*build["wheel"]["force-include"], *build["sdist"]["include"]}, "a whole folder"


def test_the_image_for_cpus_asks_the_other_index_for_torch_only() -> None:
    install = next(line for line in instructions("RUN") if "pip install" in line)
    assert "extra-index-url" not in install
    program = re.search(r"sed -n '(.*?)' pyproject.toml", install)
    assert program is not None
    found = subprocess.run(
        ["sed", "-n", program[1], "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert found.stdout.splitlines() == [r for r in project["dependencies"] if re.match(r"torch\b", r)]


def test_the_image_installs_what_the_lock_says_and_nothing_else() -> None:
    install = next(line for line in instructions("RUN") if "pip install" in line)
    steps = [step for step in install.split("&&") if "pip install" in step]
    assert ["torch" in step for step in steps] == [True, False, False]
    assert all("--no-deps" in step for step in steps[1:])
    assert "--require-hashes -r requirements.lock" in steps[1]
    assert "pip check" in install, "a lock that forgot something is noticed"


def test_the_image_starts_a_command_that_exists() -> None:
    program, command = (json.loads(instructions(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert program == ["explain"]
    found = typer.main.get_command(cli.app)
    serve = found.commands[command[0]]  # type: ignore[attr-defined]
    options = {flag for parameter in serve.params for flag in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options


def test_the_image_knows_whether_it_is_well() -> None:
    check = instructions("HEALTHCHECK")[0]
    program, _, code = json.loads(check.split("CMD", 1)[1])
    assert program == "python"
    compile(code, "healthcheck", "exec")
    assert "/v2/health/ready" in code
    assert instructions("EXPOSE") == ["8600"]


def test_the_image_is_offline_and_needs_keys() -> None:
    said = dict(pair.split("=", 1) for pair in shlex.split(" ".join(instructions("ENV"))))
    assert said["EXPLAIN_ALLOW_DOWNLOAD"] == "false"
    assert said["HF_HUB_OFFLINE"] == "1"
    assert said["EXPLAIN_KEYS"] == "/etc/whyboard/keys"


def services() -> dict[str, dict[str, Any]]:
    """What the compose file starts."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    return found


@pytest.mark.parametrize("name", services())
def test_no_container_can_do_more_than_it_must(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("ports", []) == (["127.0.0.1:8600:8600"] if name == "explain" else [])


def test_the_container_can_write_nowhere_but_its_state() -> None:
    service = services()["explain"]
    assert [v for v in service["volumes"] if not v.endswith(":ro")] == ["state:/var/lib/whyboard"]
    taken = sum(Settings.model_fields[name].default for name in ("leave_seconds", "drain_seconds")) + 1
    assert int(service["stop_grace_period"].removesuffix("s")) > taken, "longer than it takes to leave and to end work"


def test_a_key_that_is_removed_opens_the_container_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    """Both services see the folder through a mount, held here as a mount holds it: by what it is, not by its name."""
    image = dict(pair.split("=", 1) for pair in shlex.split(" ".join(instructions("ENV"))))
    beside = tmp_path / "keys"
    mounted = {}
    for name, service in services().items():
        assert "secrets" not in service, "a secret is a file that is mounted by itself"
        source, target = next(v.split(":")[:2] for v in service["volumes"] if v.startswith("."))
        assert source == "./keys"
        mounted[name] = Path(image["EXPLAIN_KEYS"]).relative_to(target)
    beside.mkdir()
    held = os.open(beside, os.O_RDONLY)
    try:
        inside = Keys(Path(f"/proc/self/fd/{held}") / mounted["explain"])
        monkeypatch.setenv("EXPLAIN_KEYS", str(beside / mounted["keys"]))
        settings.cache_clear()
        code, key, _ = run(*services()["keys"]["entrypoint"][1:], "add", "ann")
        assert code == 0
        assert inside.holder(key.strip()) == Holder("ann", "analyst")
        assert run(*services()["keys"]["entrypoint"][1:], "remove", "ann")[0] == 0
        assert inside.holder(key.strip()) is None
    finally:
        os.close(held)
        monkeypatch.undo()
        settings.cache_clear()


def test_actions_are_pinned() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        flow = yaml.safe_load(path.read_text("utf-8"))
        assert flow["permissions"] == {"contents": "read"}
        for job in flow["jobs"].values():
            assert job["timeout-minutes"]
            for step in job["steps"]:
                assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step
                assert "${{ github" not in str(step.get("run")), "no text of a pull request in a shell"
