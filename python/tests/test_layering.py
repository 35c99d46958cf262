"""No two modules of the package need each other, imports inside of functions included."""

import ast
from pathlib import Path

import dahlquist

HOME = Path(dahlquist.__file__).parent


def imported(path: Path) -> set[str]:
    """Returns the modules of the package that a module imports anywhere, by their paths."""
    package = list(path.relative_to(HOME).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for name in node.names:
                for words in (base + [name.name], base):
                    if (file := HOME.joinpath(*words).with_suffix(".py")).exists():
                        found.add(str(file.relative_to(HOME)))
                        break
    return found


def test_there_are_no_circles():
    arrows = {str(p.relative_to(HOME)): imported(p) for p in HOME.rglob("*.py")}
    # What is loaded on demand stands below all others.
    assert arrows["_model.py"] >= {"_sealed.py", "importers/_verify.py"} and len(arrows) > 20
    left = dict(arrows)
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys() - {name}]
        assert free, f"in circles: {sorted(left)}"
        for name in free:
            del left[name]
