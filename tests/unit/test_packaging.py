"""What a stranger installs: the wheel, in an environment of its own, used from another folder."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
import venv
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an environment's programs, with the wheel installed; dependencies come from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env").glob("lib/python*/site-packages"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    return folder / "env" / "bin"


def test_wheel_explains_from_another_folder(installed: Path, tmp_path: Path) -> None:
    code = (
        "import explain; print(explain.__file__);"
        "r = explain.load('sentiment').explain('A gorgeous, witty, seductive movie.', checks=());"
        "print(r.prediction.label)"
    )
    out = subprocess.run(
        [str(installed / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    where, label = out.stdout.split()
    assert str(ROOT) not in where
    assert label == "POSITIVE"


def test_wheel_lists_models_and_has_the_assets(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json; from explain import bundled, list_models;"
        "names = ['d3.min.js', 'd3.LICENSE', 'jquery.min.js', 'jquery.LICENSE'];"
        "found = [(bundled.shipped('assets') / n).is_file() for n in ['theme.css', *(f'vendor/{n}' for n in names)]];"
        "pictures = (bundled.shipped('assets') / 'screenshots').exists();"
        "print(json.dumps([[m.name for m in list_models()], all(found), pictures]))"
    )
    out = subprocess.run(
        [str(installed / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(out.stdout) == [["sentiment", "tales"], True, False], "pictures of the README are 6 MB"


def test_wheel_serves_the_dashboard_from_another_folder(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(installed / "python"), "-m", "explain", "dashboard", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/_stcore/health") as ok:
                assert ok.status == 200
                break
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        with urllib.request.urlopen(f"http://localhost:{port}/") as page:
            assert page.status == 200
            assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
        with urllib.request.urlopen(f"http://localhost:{port}/api/v2/health/live") as live:
            assert json.load(live) == {"live": True}
        with pytest.raises(urllib.error.HTTPError, match="404") as frame:
            urllib.request.urlopen(f"http://localhost:{port}/viz/none")
        assert b"no longer kept" in frame.value.read(), "ours, not Streamlit's"
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[0]
    assert "localhost" in said, "loopback only, as .streamlit/config.toml says"
    assert "External URL" not in said


def test_version_ranges_not_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        assert "==" not in requirement
        assert ">=" in requirement or requirement.startswith("types-")


@pytest.mark.parametrize(
    ("package", "floor"), [("transformers", "5.10"), ("torch", "2.10"), ("starlette", "1.1"), ("authlib", "1.6.9")]
)
def test_floors_exclude_known_vulnerabilities(package: str, floor: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    assert any(r.startswith(f"{package}>={floor}") for r in [*project["dependencies"], *optional["login"]])


def test_the_lock_has_a_digest_for_everything_that_is_asked_for() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text, "digests say what a file is; where it comes from is the installer's"
    pins = dict(re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE))
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(pins)
    assert not [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    for line in [*project["dependencies"], *optional["screenshot"], *optional["login"], *optional["profile"]]:
        asked = Requirement(line)
        if asked.name != "torch":  # its builds for CPUs and for GPUs have other files under one version
            assert asked.specifier.contains(pins[asked.name]), f"{line}: run make lock"
    assert not [name for name in pins if re.match(r"torch$|triton|cuda-|nvidia-", name)]
