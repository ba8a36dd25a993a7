"""The architecture, as a test: imports go one way, some floors know no torch, files stay small."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "charlm"
FLOORS = [
    ("errors", "options", "version"),
    ("storage", "tensors"),
    ("text", "batches", "model", "training", "sinks"),
    ("runs",),
    ("predict",),
    ("evaluation", "generation", "compression"),
    ("language", "series"),
    ("benchmark", "tuning", "serving", "adapters"),
    ("cli",),
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
WITHOUT_TORCH = [
    "errors.py",
    "options.py",
    "storage/",
    "sinks/",
    "tensors.py",
    "text/",
    "batches/",
    "training/meeting.py",
    "predict/changes.py",
    "predict/clustered.py",
    "predict/drawing.py",
    "predict/predictor.py",
    "predict/runtime.py",
    "predict/runtime_cells.py",
    "predict/runtime_heads.py",
    "evaluation/",
    "generation/",
    "compression/",
    "language/compressing.py",
    "language/corpus.py",
    "language/fit.py",
    "language/handle.py",
    "runs/dialogue.py",
    "runs/files.py",
    "runs/place.py",
    "runs/request.py",
    "runs/record.py",
    "runs/weights.py",
    "language/record.py",
    "language/request.py",
    "language/training_text.py",
    "benchmark/options.py",
    *(f"tuning/{n}.py" for n in ("language", "objective", "options", "report", "study", "tune")),
    "adapters/",
    "cli/",
]
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
MODULES = [path for path in FILES if path.parent != PACKAGE or path.stem in LEVEL]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


def imports(path: Path, *, top_only: bool = False):
    nodes = parsed(path).body if top_only else nodes_of(path)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module == "charlm" or node.module.startswith("charlm."):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(module: str) -> str | None:
    words = module.split(".")
    return words[1] if words[0] == "charlm" and len(words) > 1 and words[1] in LEVEL else None


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_never_go_up_nor_sideways(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = part(module)
        if other is not None and other != own:
            below = LEVEL[other] < LEVEL[own]
            both_at_the_bottom = LEVEL[other] == LEVEL[own] == 0
            assert below or both_at_the_bottom, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_floors_without_torch_import_none_at_their_top(path):
    name = str(path.relative_to(PACKAGE))
    if any(
        name == entry or (entry.endswith("/") and name.startswith(entry)) for entry in WITHOUT_TORCH
    ):
        for module in imports(path, top_only=True):
            assert module.split(".")[0] not in ("torch", "datasets"), f"{name} imports {module}"


def test_every_module_has_a_floor():
    top = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert top - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_fits_the_head(path):
    assert len(path.read_text().splitlines()) <= 300
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name} is too long"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_door_to_foreign_code(path):
    for node in nodes_of(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "compile", "__import__"), path
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {("torch", "load"), ("os", "system")}, path
    assert not {"pickle", "marshal", "shelve"} & set(imports(path)), path


def test_only_storage_opens_files_for_writing():
    for path in FILES:
        if path.parent.name == "storage":
            continue
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            receiver = ast.unparse(node.func.value)
            if node.func.attr in ("write_text", "write_bytes", "tofile", "save_file"):
                assert receiver.removeprefix("self.").lstrip("_") in ("writer", "storage"), (
                    f"{path.name} writes"
                )
            if node.func.attr == "open":
                modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
                assert not {"w", "wb", "a", "ab", "x", "r+b"} & set(modes), f"{path.name} writes"


def test_no_module_at_the_top_bears_the_name_of_a_public_function():
    import charlm

    top = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert not top & set(charlm.__all__)
    assert callable(charlm.load) and callable(charlm.train)


def test_charlm_and_its_help_load_no_torch():
    code = (
        "import sys, charlm, charlm.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {'torch', 'numpy', 'tokenizers', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
