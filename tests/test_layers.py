"""Imports point down, and files stay small: the house rules that a parser can see."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "resdet"

# A room is a module or a folder directly in resdet/.  It may import itself and every room of a lower floor.
FLOORS = (
    (
        "errors",
        "devices",
        "tracing",
        "structures",
        "array_pickle",
        "tensor_file",
        "whole_file",
        "precision",
        "settings",
    ),  # bedrock: all speak it
    ("config", "losses", "boxes", "convolution", "backbones"),  # ground
    ("data", "ops", "targets", "eval", "predictions", "engine", "zoo"),  # first
    ("heads", "postprocess"),  # second
    ("models", "inference", "report", "audit"),  # third
    ("build", "progress", "cli", "options"),  # roof
    ("jobs", "benchmarks"),  # whole jobs; above them only tools/, tests/ and datasets/
)
SIDEWAYS = {  # the only arrows between rooms of one floor, as importer: imported
    "structures": ("errors", "devices"),
    "array_pickle": ("errors",),
    "tensor_file": ("errors", "array_pickle"),
    "settings": ("errors",),
    "backbones": ("convolution",),  # most of what they do
    "eval": ("data", "predictions"),  # ground truth is Records, what is judged comes from a file
    "predictions": ("data",),  # files name images and classes as the data set does
    "zoo": ("data",),  # the names of the classes that published weights leave out
    "inference": ("models",),  # it wraps around any of them
    "audit": ("report",),  # its findings are a page too
}
FORBIDDEN = {  # arrows that point down and are still wrong
    "heads": ("config",),
    "postprocess": ("config",),
    "models": ("config",),  # build.py translates settings into arguments
    "inference": ("config",),
}
OUTSIDE = ("tools", "tests", "datasets")
JUNK_DRAWERS = ("util", "utils", "misc", "common", "helper", "helpers")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(REPOSITORY).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def python_files() -> list[Path]:
    folders = [REPOSITORY / name for name in ("resdet", *OUTSIDE)]
    return [REPOSITORY / "setup.py", *(file for folder in folders for file in sorted(folder.rglob("*.py")))]


def room_of(path: str) -> str:
    """``resdet/eval/loc.py -> eval``, ``resdet/build.py -> build``, and nothing for ``resdet/__init__.py``."""
    name = path.split("/")[1].removesuffix(".py")
    return "" if name == "__init__" else name


def imported_rooms(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and room of every import of resdet, those within functions or ``if TYPE_CHECKING`` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.removesuffix(".py").split("/")[: -node.level] if node.level else []
            module = ".".join([*package, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, *rest = name.split(".")
            if top in OUTSIDE:
                yield node.lineno, top
            elif top == "resdet" and rest and not rest[0].startswith("_"):
                yield node.lineno, rest[0]


def wrong_imports(path: str, tree: ast.Module) -> list[str]:
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    here = room_of(path)
    if here and here not in floor_of:
        return [f"{path}: {here!r} has no floor: add it to FLOORS, as low as what it imports allows"]
    found = []
    for line, room in imported_rooms(path, tree):
        if room in OUTSIDE:
            found.append(f"{path}:{line}: nothing in resdet/ imports {room}/")
        elif room not in floor_of:
            found.append(f"{path}:{line}: {room!r} has no floor: add it to FLOORS, as low as what it imports allows")
        elif not here:
            found.append(f"{path}:{line}: resdet/__init__.py imports nothing, so that every room can be imported alone")
        elif room in FORBIDDEN.get(here, ()):
            found.append(f"{path}:{line}: {here} must not know {room}")
        elif room != here and floor_of[room] > floor_of[here]:
            found.append(f"{path}:{line}: {here} imports {room}, which stands above it")
        elif room != here and floor_of[room] == floor_of[here] and room not in SIDEWAYS.get(here, ()):
            found.append(f"{path}:{line}: {here} imports {room} on its own floor, an arrow that SIDEWAYS does not list")
    return found


def test_imports_point_down():
    found = [fault for path, tree in modules() for fault in wrong_imports(path, tree)]
    assert not found, "\n".join(found)


def test_sideways_arrows_stay_on_their_floor_and_make_no_circle():
    order = [room for rooms in FLOORS for room in rooms]
    assert len(order) == len(set(order))
    reached = {room: set(SIDEWAYS.get(room, ())) for room in order}
    for _ in order:
        reached = {room: seen.union(*(reached[next_room] for next_room in seen)) for room, seen in reached.items()}
    for rooms in FLOORS:
        for room in rooms:
            assert reached[room] <= set(rooms) - {room}, room


def faults_of(path: str, source: str) -> str:
    return "\n".join(wrong_imports(path, ast.parse(source)))


def test_every_way_to_import_upwards_is_seen():
    for source in (
        "import resdet.engine.train",
        "from resdet.engine.train import train",
        "from resdet import engine",
        "from ..engine import train",
        "def late():\n    from resdet.engine import train",
    ):
        assert "boxes imports engine, which stands above it" in faults_of("resdet/boxes/coder.py", source), source


def test_downward_and_listed_imports_pass():
    down = "import torch\nfrom resdet import __version__\nfrom resdet.boxes import coder\nfrom . import cls"
    assert faults_of("resdet/eval/loc.py", down) == ""
    assert faults_of("resdet/eval/loc.py", "from resdet.data.records import Records") == ""
    assert "SIDEWAYS" in faults_of("resdet/data/records.py", "from resdet.eval import loc")


def test_a_room_without_a_floor_is_told_what_to_do():
    assert "add it to FLOORS" in faults_of("resdet/attic/box.py", "import torch")
    assert "add it to FLOORS" in faults_of("resdet/build.py", "from resdet.attic import box")


def test_models_and_tools_are_out_of_reach():
    assert "must not know config" in faults_of("resdet/models/localizer.py", "from resdet.config import Config")
    assert "nothing in resdet/ imports tools/" in faults_of("resdet/build.py", "from tools import infer")


def test_only_build_knows_both_config_and_models():
    both = {path for path, tree in modules() if {"config", "models"} <= {r for _, r in imported_rooms(path, tree)}}
    assert {room_of(path) for path in both} <= {"build"}, both


def test_nothing_in_the_package_prints_or_exits():
    found = []
    for path, tree in modules():
        for node in ast.walk(tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            named = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
            if called in ("print", "exit", "quit") or named in ("sys.exit", "os._exit", "SystemExit"):
                found.append(f"{path}:{node.lineno}: {called or named}: tools/ print and exit, resdet/ raises")
    assert not found, "\n".join(found)


def test_every_folder_of_the_package_says_what_it_holds():
    folders = sorted({file.parent for file in PACKAGE.rglob("*.py")})
    openings = {folder: folder / "__init__.py" for folder in folders}
    silent = [
        f.name
        for f, file in openings.items()
        if not file.exists() or not ast.get_docstring(ast.parse(file.read_text()))
    ]
    assert not silent, f"no __init__.py with a docstring in {', '.join(silent)}"


def test_no_file_is_over_300_lines_or_a_junk_drawer():
    found = []
    for file in python_files():
        name = file.relative_to(REPOSITORY).as_posix()
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 300:
            found.append(f"{name} has {lines} lines, 300 is the most: it holds more than one concept")
        if any(part in JUNK_DRAWERS for part in file.relative_to(REPOSITORY).with_suffix("").parts):
            found.append(f"{name}: name it after what is in it")
    assert not found, "\n".join(found)


def test_no_function_is_over_60_lines():
    found = []
    for file in python_files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                lines = node.end_lineno - node.lineno + 1
                lines -= docstring.end_lineno - docstring.lineno + 1 if docstring else 0
                if lines > 60:
                    found.append(f"{file.relative_to(REPOSITORY)}:{node.lineno}: {node.name} has {lines} lines")
    assert not found, "\n".join(found)
