"""The house as docs/architecture.md draws it: imports point one way, and start-up stays light."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import brittle

SOURCE = Path(brittle.__file__).parent
LAYERS = [
    {"errors", "version", "safe_yaml", "places", "control_groups"},
    {"component", "data"},
    {
        "noise",
        "images",
        "jpeg_detection",
        "decoding",
        "progress",
        "parallel",
        "recent",
        "silence",
    },
    {"networks"},
    {"budgets"},
    {"models"},
    {"transforms", "editors", "metrics"},
    {"protections"},
    {"declaration"},
    {"record"},
    {"sources"},
    {"trial"},
    {"analysis"},
    {"auditing"},
    {"reporting"},
    {"benching"},
    {"appearance"},
    {"catalogue"},
    {"api"},
    {"app"},
    {"cli"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
FOUNDATION = HEIGHT["images"]


def module_of(path: Path) -> str:
    """A file's name as it is imported: ``brittle.budgets.l2``."""
    parts = ("brittle", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCE.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    """The modules of brittle that a file names, in functions and for types as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}": node.module for alias in node.names}
            found |= {name if name in MODULES else module for name, module in named.items()}
    return (found & set(MODULES)) - {module_of(path)}


def test_every_part_has_a_place_in_the_layers():
    parts = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__pycache__"} == set(HEIGHT)


def test_the_page_draws_these_layers_in_this_order():
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"holds them to it: ([^.]*)\.", page)
    groups = [{part.strip() for part in group.split(",")} for group in drawn.split("←")]
    heights = [{HEIGHT[part] for part in group} for group in groups]
    assert [*map(len, heights)] == [1] * len(heights)
    order = [height for (height,) in heights]
    assert order == sorted(set(order))
    above = {part for part, height in HEIGHT.items() if height > FOUNDATION}
    assert above <= set().union(*groups)


def test_imports_point_one_way():
    wrong = []
    for name, path in MODULES.items():
        _, part, *_ = (*name.split("."), "")
        others = imports_of(path) - {"brittle"} if part else set()
        for other in {other.split(".")[1] for other in others} - {part}:
            same_layer = HEIGHT[other] == HEIGHT[part]
            if HEIGHT[other] > HEIGHT[part] or (same_layer and HEIGHT[part] > FOUNDATION):
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_no_module_imports_itself_by_a_circle():
    graph = {name: imports_of(path) for name, path in MODULES.items()}
    assert len([*TopologicalSorter(graph).static_order()]) == len(MODULES)


def test_no_import_is_hidden_from_these_tests():
    """By a name that only running shows, relative to its place, or through the front door."""
    for path in MODULES.values():
        text = path.read_text(encoding="utf-8")
        assert "import_module(" not in text, path
        assert "__import__(" not in text, path
        nodes = [*ast.walk(ast.parse(text))]
        assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes), path
        if path.relative_to(SOURCE).parts[0] not in ("app", "cli", "__init__.py"):
            plain = [node for node in nodes if isinstance(node, ast.Import)]
            assert "brittle" not in {alias.name for node in plain for alias in node.names}, path


def test_the_command_line_calls_the_front_door_and_nothing_behind_it():
    for path in (SOURCE / "cli").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        inside = {module for module in modules if module.startswith("brittle.")}
        cli = {module for module in inside if module.startswith("brittle.cli")}
        assert inside - cli <= {"brittle.app", "brittle.errors", "brittle.progress"}, path
        assert "brittle" not in modules, path
        called = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "brittle"
        }
        assert called <= {*brittle.__all__, "__version__"}, path


def test_the_local_page_works_by_the_front_door_too():
    engine = {"api", "trial", "auditing", "editors", "transforms", "metrics", "models"}
    for path in (SOURCE / "app").glob("*.py"):
        assert not {name.split(".")[1] for name in imports_of(path) - {"brittle"}} & engine, path


def test_public_names_are_the_declared_ones():
    for name in brittle.__all__:
        assert getattr(brittle, name) is not None
    assert sorted(brittle.__all__) == brittle.__all__


def test_each_part_imports_no_more_than_it_needs():
    """One process, in which each part is imported on top of those before."""
    code = """
import sys

def assert_lacking(*names):
    found = {*names} & {*sys.modules}
    assert not found, found

sys.argv = ["brittle", "--help"]
from brittle.cli import app
try:
    app()
except SystemExit:
    pass
assert_lacking("torch", "numpy", "diffusers", "transformers", "scipy", "matplotlib")
assert_lacking("starlette", "uvicorn", "jinja2", "brittle.app")
import brittle.analysis
assert_lacking("torch")
from brittle.transforms import Transform
Transform.parse("jpeg:quality=65")  # its family is found without another import
import brittle.models
assert_lacking("diffusers", "transformers")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_pickle_and_no_remote_code():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text, path
        assert "trust_remote_code=True" not in text, path
        for line in text.splitlines():
            assert "torch.load(" not in line or "weights_only=True" in text, path
