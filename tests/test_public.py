"""The public surface: the names, that they are typed, and that they cost nothing until used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import jumar


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there() -> None:
    names = ("read_log", "improve", "evaluate", "load_policy", "audit", "Log", "Policy", "Improvement", "JumarError")
    assert set(names) <= set(jumar.__all__) <= set(dir(jumar))
    for name in jumar.__all__:
        assert getattr(jumar, name) is not None
    for name in names:
        assert callable(getattr(jumar, name))
    with pytest.raises(AttributeError, match="nothing"):
        _ = jumar.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(jumar.__file__).parent / "py.typed").is_file()


def test_evaluate_is_a_function_and_a_package_in_whatever_order_it_is_met() -> None:
    assert run("import jumar; jumar.improve; import jumar.evaluate; print(callable(jumar.evaluate))") == "True"
    assert run("import jumar.evaluate as e; from jumar.evaluate import Capital; print(callable(e))") == "True"


@pytest.mark.parametrize("program", ["import jumar", "from jumar.cli import main; main(['--help'])"])
def test_help_and_import_load_no_compiler(program: str) -> None:
    heavy = "('jax', 'duckdb', 'onnxruntime', 'ibis', 'altair', 'pandas')"
    loaded = run(f"import sys; {program}; print([m for m in {heavy} if m in sys.modules])").splitlines()[-1]
    assert loaded == "[]"


def test_nothing_of_ours_can_unpickle() -> None:
    """No module of ours can unpickle anything."""
    for path in Path(jumar.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "allow_pickle=True" not in text, path
        assert not re.search(
            r"\b(?:from|import)\s+(?:_?pickle|cPickle|cloudpickle|dill|joblib|marshal|shelve)\b", text
        ), path
