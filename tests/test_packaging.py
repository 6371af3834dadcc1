"""What is installed, locked, shipped and committed agrees with itself."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import weaklib
from weaklib import experiment, runs, weights

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
MAX_MB = 10


def by_name(lines) -> dict:
    """Requirement lines -> name: range."""
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def declared() -> dict:
    project = PROJECT["project"]
    return by_name(project["dependencies"] + project["optional-dependencies"]["test"])


def locked() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M)}


def test_environment_has_the_ranges_of_pyproject():
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(x["pip"] for x in lines if isinstance(x, dict))
    python, *others = (x for x in lines if isinstance(x, str))
    conda = by_name(others)
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(re.fullmatch(r"python=(3\.\d+)", python)[1])
    assert conda.pop("setuptools") == by_name(PROJECT["build-system"]["requires"])["setuptools"]
    del conda["pip"], conda["fluidsynth"]  # conda's own, which pip does not bring
    assert pip.pop() == "-e ."
    assert conda | by_name(pip) == declared()


def test_lock_satisfies_the_ranges():
    pins = locked()
    outside = [f"{name} {pins.get(name)}" for name, wanted in declared().items()
               if name not in pins or not wanted.contains(pins[name])]
    assert not outside


def test_lock_builds_without_fetching_setuptools():
    assert by_name(PROJECT["build-system"]["requires"])["setuptools"].contains(locked()["setuptools"])


def test_lock_has_a_hash_for_every_package_and_no_host():
    entries = re.split(r"\n(?=\w)", LOCK.split("make lock\n")[1].rstrip())
    assert all(re.match(r"[\w.-]+==\S+ .*\n    --hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


def sources() -> list[tuple[str, str]]:
    """(file, code) of everything that a reader runs."""
    paths = [ROOT / "run_all.py", *ROOT.glob("weaklib/**/*.py"), *ROOT.glob("tests/**/*.py")]
    code = [(str(path.relative_to(ROOT)), path.read_text()) for path in paths]
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        code.append((path.name, "\n".join("".join(cell) for cell in cells)))
    return code


def imports(code: str) -> set[str]:
    """Top-level names of the modules that code imports."""
    code = re.sub(r"^\s*[%!].*", "", code, flags=re.M)  # IPython's magics
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_every_import_is_declared():
    mine = sys.stdlib_module_names | {"weaklib", "run_all", "tests", "conftest", "lab", "scenes", "toy"}
    owner, known = packages_distributions(), declared()
    undeclared = {f"{file}: {name}" for file, code in sources() for name in imports(code) - mine
                  if not {canonicalize_name(d) for d in owner.get(name, [name])} & (known.keys() | {"ipython"})}
    assert not undeclared


def test_importing_weaklib_loads_nothing_heavy():
    code = ("import sys, weaklib, weaklib.papers, weaklib.report\n"
            "heavy = {'torch', 'lightning_fabric', 'librosa', 'matplotlib', 'ipywidgets', 'transformers'}\n"
            "print(sorted(heavy & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"


def test_what_executes_notebooks_loads_no_torch():
    """There is a process of it for each of those that are executed side by side."""
    code = "import sys, run_all, weaklib.headless\nprint('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "False\n"


def test_first_cells_of_notebooks_load_nothing_that_takes_long_and_may_not_be_needed():
    first = []
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        body = ast.parse(cells[1].source).body  # after the parameters
        first += [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    code = ("import sys\nfrom weaklib.corpora import captions, wild\n" + "\n".join(first) +
            "\nheavy = {'librosa', 'numba', 'scipy.signal', 'transformers', 'matplotlib.pyplot', 'torch._dynamo', 'av'}"
            "\nprint(sorted(heavy & set(sys.modules)))")
    assert "import torch" in first
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"


def test_package_data_is_complete():
    patterns = {f"{package.replace('.', '/')}/{pattern}"
                for package, globs in PROJECT["tool"]["setuptools"]["package-data"].items() for pattern in globs}
    data = [str(path.relative_to(ROOT)) for path in ROOT.glob("weaklib/**/*")
            if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert data
    assert not [name for name in data if not any(fnmatch(name, pattern) for pattern in patterns)]


def test_packages_are_complete():
    folders = {path.parent for path in ROOT.glob("weaklib/**/*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == weaklib.__version__
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "weaklib.__version__"}


def test_nothing_large_is_tracked():
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if out.returncode:
        pytest.skip("not a git checkout")
    large = [name for name in out.stdout.split("\0")[:-1]
             if (ROOT / name).is_file() and (ROOT / name).stat().st_size > MAX_MB * 1e6]
    assert not large


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stripped(path):
    nb = json.loads(path.read_text())
    assert "widgets" not in nb["metadata"]
    for cell in nb["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None, "".join(cell["source"])[:80]
    assert path.stat().st_size <= 200_000


def test_an_editable_install_is_found_from_the_folder_above(tmp_path):
    """Where a folder called weaklib, the checkout, would otherwise be taken for the package, with nothing in it."""
    above, checkout, site = (tmp_path / name for name in ("above", "above/weaklib", "site"))
    shutil.copytree(ROOT / "weaklib", checkout / "weaklib",
                    ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("pyproject.toml", "LICENSE", "run_all.py"):
        shutil.copy(ROOT / name, checkout)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def python(code, cwd):
        code = f"import site, sys; sys.path += {packages!r}; {code}"
        return subprocess.run([sys.executable, "-S", "-c", code], cwd=cwd, env=env, capture_output=True, text=True)

    packages = [path for path in sys.path if path.endswith("site-packages")]
    build = f"from setuptools import build_meta; print(build_meta.build_editable({str(tmp_path)!r}))"
    assert python(build, checkout).returncode == 0
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    use = f"site.addsitedir({str(site)!r}); import weaklib; weaklib.separate; print(weaklib.__file__)"
    for folder in (above, checkout, tmp_path):
        done = python(use, folder)
        assert done.stdout.strip() == str(checkout / "weaklib" / "__init__.py"), done.stderr


@pytest.mark.parametrize("paper", experiment.PAPERS)
def test_what_is_shipped_has_a_committed_record(paper):
    for name in experiment.load(paper).grid.checkpoints(paper).values():
        about = weights.about(weights.shipped(name))
        path = next((ROOT / "results").glob(f"*/{paper}/runs/{about['id']}.json"), None)
        assert path, name
        network = experiment.load(paper).network(runs.read(path))  # of its record, the packaged weights are its own
        tensors, _ = weights.load(weights.shipped(name))
        assert all(torch.equal(x.half(), tensors[key]) for key, x in network.state_dict().items() if key in tensors)
    assert runs.shipped(paper).key == weights.about(weights.shipped(paper))["key"]
