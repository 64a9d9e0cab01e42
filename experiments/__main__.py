"""Lists the experiments, without importing any: TensorFlow would take seconds."""

import ast
from pathlib import Path


def main() -> None:
    """Prints a line for each experiment: every module here that can `train` or `run`."""
    print("python -m experiments.<name> --help\n")
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name in ("train", "run") for node in module.body):
            print(f"  {path.stem:<24}{(ast.get_docstring(module) or '').splitlines()[0]}")


if __name__ == "__main__":
    main()
