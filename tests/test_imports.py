"""How the package hangs together: which way imports run, how large files and rooms are, what faces name."""

import ast
import inspect
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import hilbertsd

PACKAGE, TESTS = Path(hilbertsd.__file__).parent, Path(__file__).parent
LEVELS = (
    {"errors"},
    {"support"},
    {"greens", "data", "networks", "targets", "gram", "pages"},
    {"spectral"},
    {"distillation", "filters"},
    {"bounds", "analysis"},
    {"estimators", "plot", "table_model"},
    {"ntk"},
    {"features", "views"},
    {"studies"},
    {"report"},
    {"cli"},
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
ROOMS = sorted(folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists())
FACES = [f"hilbertsd.{room}" for room in ROOMS if (PACKAGE / room / "__init__.pyi").exists()]
MOST_LINES, MOST_MODULES = 400, 12


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(path for kind in ("*.py", "*.pyi") for path in PACKAGE.rglob(kind))
MODULES = {name_of(path) for path in FILES}


def imported(path):
    """Absolute names of what a file imports anywhere in it."""
    package = name_of(path) if path.stem == "__init__" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(text.value) for text in node.args if isinstance(text, ast.Constant))


def module_of(name):
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


INTERNAL = {
    path: {name for name in imported(path) if name.partition(".")[0] == "hilbertsd" and name != "hilbertsd.__version__"}
    for path in FILES
    if path.parent != PACKAGE or path.stem != "__init__"  # the package's own face names every room
}


@pytest.mark.parametrize("path", INTERNAL, ids=name_of)
def test_imports_come_from_the_same_room_or_from_below(path):
    room = name_of(path).split(".")[1]
    for name in INTERNAL[path]:
        source = module_of(name).split(".")[1:2]
        assert source, f"{name}: import from its room"
        assert source[0] == room or LEVEL_OF[source[0]] < LEVEL_OF[room], f"{path} imports {name}"


def test_no_modules_import_each_other():
    graph: dict[str, set[str]] = {}
    for path, names in INTERNAL.items():
        graph.setdefault(name_of(path), set()).update({module_of(name) for name in names} - {name_of(path)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(circle.args[1][::-1]))


def test_one_file_knows_neural_tangents():
    knowing = {name_of(path) for path in FILES for name in imported(path) if name.split(".")[0] == "neural_tangents"}
    assert knowing == {"hilbertsd.ntk.compat"}


def test_files_and_rooms_stay_small():
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
    folders = {path.parent for path in FILES}
    sizes = {str(folder): sum(file.stem != "__init__" for file in folder.glob("*.py")) for folder in folders}
    assert {name: n for name, n in sizes.items() if n > MOST_MODULES} == {}


def test_tests_mirror_the_rooms():
    assert {path.parent.name for path in TESTS.glob("*/**/test_*.py")} == set(ROOMS)
    alone = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert alone <= {"benchmarks", "imports", "package", "readme"} | (set(LEVEL_OF) - set(ROOMS))
    assert set(LEVEL_OF) == set(ROOMS) | {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


@pytest.mark.parametrize("face", FACES)
def test_faces_name_what_exists_and_is_described(face):
    stub = PACKAGE / face.partition(".")[2] / "__init__.pyi"
    names = {name.rpartition(".")[2] for name in imported(stub)}
    assert names == set(import_module(face).__all__)
    assert not names & {path.stem for path in stub.parent.glob("*.py")}, (
        "a module has the name of what its room exports"
    )
    for name in names:
        value = getattr(import_module(face), name)
        own = vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)
        assert own, f"{face}.{name} has no docstring"
        assert not own.startswith(f"{name}("), f"{face}.{name} has a generated docstring"
