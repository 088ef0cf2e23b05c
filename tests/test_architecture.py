"""The house as docs/architecture.md draws it: imports point one way, and start-up stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import brittle

SOURCE = Path(brittle.__file__).parent
LAYERS = [
    {"errors", "version"},
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
    {"appearance"},
    {"api", "batch", "catalogue"},
    {"cli"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
FOUNDATION = HEIGHT["images"]


def part_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "brittle" and len(parts) > 1 else None


def imports_of(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in walk_what_runs(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "brittle":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(part_of(node.module))
        elif isinstance(node, ast.Import):
            found |= {part_of(alias.name) for alias in node.names}
    return (found & set(HEIGHT)) - {None}


def walk_what_runs(tree: ast.AST):
    """All nodes but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.orelse:
                yield from walk_what_runs(child)
            continue
        yield node
        yield from walk_what_runs(node)


def test_every_part_has_a_place_in_the_layers():
    parts = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__pycache__"} == set(HEIGHT)


def test_imports_point_one_way():
    wrong = []
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for other in imports_of(path) - {part}:
            same_layer = HEIGHT[other] == HEIGHT[part]
            if HEIGHT[other] > HEIGHT[part] or (same_layer and HEIGHT[part] > FOUNDATION):
                wrong.append(f"{path.relative_to(SOURCE)} imports {other}")
    assert wrong == []


def test_public_names_are_the_declared_ones():
    for name in brittle.__all__:
        assert getattr(brittle, name) is not None
    assert sorted(brittle.__all__) == brittle.__all__


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['brittle', '--help']\n"
        "from brittle.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'kornia', 'scipy', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_no_pickle_and_no_remote_code():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text, path
        assert "trust_remote_code=True" not in text, path
        for line in text.splitlines():
            assert "torch.load(" not in line or "weights_only=True" in text, path
