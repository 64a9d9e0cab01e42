"""Lists the experiments, without importing any: TensorFlow would take seconds."""

import ast
from pathlib import Path


def experiments() -> dict[str, str]:
    """Returns the first line of each experiment's docstring by name: every folder here that has a `__main__.py`."""
    paths = sorted(Path(__file__).parent.glob("*/__main__.py"))
    modules = {path.parent.name: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    return {name: (ast.get_docstring(module) or "").partition("\n")[0] for name, module in modules.items()}


def main() -> None:
    """Prints a line for each experiment."""
    print("python -m experiments.<name> --help\n")
    for name, summary in experiments().items():
        print(f"  {name:<24}{summary}")


if __name__ == "__main__":
    main()
