"""The layers of the code: imports point down, light modules stay light, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "explain"

LAYERS = [
    ["canonical", "errors"],
    ["record"],
    ["words", "prediction", "candidates", "messages"],
    ["origin"],
    ["records"],
    ["catalog"],
    ["heads", "road", "lens", "generation", "alignment", "worked_toy"],
    ["settings", "units", "reading", "notices", "machine"],
    ["wire", "bundled", "plugins", "spans", "bounds"],
    ["model.encoding", "model.rows", "model.generating"],
    ["case"],
    ["tasks"],
    ["model"],
    ["together"],
    ["coalitions", "beams", "outline"],
    ["methods", "effects", "interactions"],
    ["attention", "checks", "training"],
    ["asking"],
    ["drive"],
    ["costs", "gate", "calibration", "probes", "looking", "continuing", "aligning"],
    ["results"],
    ["work"],
    ["questions"],
    ["writing"],
    ["engine"],
    ["selftest"],
    ["journal"],
    ["service"],
    ["audit"],
    ["replay", "masking"],
    ["render"],
    ["guard", "keys", "client"],
    ["login"],
    ["doctor", "profiling"],
    ["filing", "camera", "copies"],
    ["dashboard", "rest"],
    ["arguments"],
    ["evidence_tools"],
    ["operations", "evidence_commands", "proof_commands", "writing_commands"],
    ["cli"],
    ["__main__"],
]
FORBIDDEN = {
    "records": {"torch", "transformers", "streamlit", "plotly", "pydantic", "matplotlib", "captum"},
    "audit": {"torch", "transformers", "streamlit", "captum", "matplotlib"},
    "render": {"torch", "transformers", "streamlit", "captum", "matplotlib"},
    "dashboard": {"torch", "transformers", "captum", "fastapi"},
    "rest": {"torch", "transformers", "captum", "streamlit"},
    "client": {"torch", "transformers", "streamlit", "fastapi"},
}


def modules() -> dict[str, Path]:
    """Dotted name below `explain` → file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        found[name] = path
    return found


def layer(name: str) -> int:
    """Index of the layer that a module belongs to; the longest matching name decides."""
    best = max(
        ((len(entry), i) for i, names in enumerate(LAYERS) for entry in names if f"{name}.".startswith(f"{entry}.")),
        default=None,
    )
    assert best is not None, f"explain/{name} belongs to no layer: add it to LAYERS"
    return best[1]


def imported(path: Path) -> list[tuple[str, int, bool]]:
    """Dotted names that a file imports: name, line, whether at the top level."""
    tree = ast.parse(path.read_text("utf-8"))
    top = set(map(id, tree.body))
    guards = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    typing_only = {id(inner) for guard in guards for inner in ast.walk(guard)}
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = node.module
            found.append((base, node.lineno, id(node) in top))
            if base == "explain" or base.startswith("explain."):
                found += [(f"{base}.{alias.name}", node.lineno, id(node) in top) for alias in node.names]
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    if name == "":
        return  # the public namespace loads upper layers inside functions, and only there
    known = modules()
    mine = layer(name)
    for target, line, _ in imported(known[name]):
        below = target.removeprefix("explain.")
        if target.startswith("explain.") and below in known:
            assert layer(below) <= mine, f"explain/{name}:{line} imports upward: {target}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_forbidden_imports(name: str) -> None:
    banned = FORBIDDEN.get(name.split(".")[0], set())
    for target, line, _ in imported(modules()[name]):
        assert target.split(".")[0] not in banned, f"explain/{name}:{line} imports {target}"


DEVICE = (
    "model",
    "tasks",
    "selftest",
    "training",
    "service",
    "machine",
    "doctor",
    "proof_commands",
    "methods.gradient_shap",
)
"""Where torch may be imported: what touches a device, trains, asks what torch may use, or hands it to Captum."""


@pytest.mark.parametrize("name", sorted(modules()))
def test_only_models_and_tasks_touch_a_device(name: str) -> None:
    if not any(f"{name}.".startswith(f"{place}.") for place in DEVICE):
        assert "torch" not in {target for target, *_ in imported(modules()[name])}, f"explain/{name} imports torch"


@pytest.mark.parametrize("name", sorted(modules()))
def test_slow_imports_are_made_where_they_are_needed(name: str) -> None:
    for target, line, top in imported(modules()[name]):
        slow = target.startswith(("scipy.stats", "scipy.integrate", "scipy.optimize", "sklearn", "pyinstrument"))
        assert not (top and slow), f"explain/{name}:{line} imports {target} before the first words can be computed"


@pytest.mark.parametrize(
    "statement",
    [
        "import explain",
        "import explain.records",
        "import explain.render",
        "import explain; explain.list_methods()",
        "import explain.wire",
        "import explain.cli",
        "import explain.rest",
        "import explain.client",
        "import explain.service",
        "import explain.service.worker",
        "import explain.audit.bundle, explain.audit.listing",
    ],
)
def test_light_imports(statement: str) -> None:
    code = f"import sys; {statement}; print({{'torch', 'streamlit', 'matplotlib', 'transformers'}} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "set()"


def test_files_stay_small() -> None:
    long = {name: n for name, path in modules().items() if (n := len(path.read_text("utf-8").splitlines())) > 350}
    assert not long


def test_models_folder_is_data_only() -> None:
    assert not list((ROOT / "models").rglob("*.py"))


def test_no_pickle_is_reachable() -> None:
    for name, path in modules().items():
        for target, line, _ in imported(path):
            assert target.split(".")[0] not in {"pickle", "dill", "cloudpickle", "marshal"}, f"{name}:{line}"
        assert "torch.load(" not in path.read_text("utf-8"), name
