"""What `bin/setup` says on a machine that lacks something: one sentence, and what to do."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.running import ROOT

pytestmark = pytest.mark.faults

OLD = """#!/bin/sh
case "$2" in
    *print*) echo 3.9.2 ;;
    *) exit 1 ;;
esac
"""
WITHOUT_VENV = """#!/bin/sh
case "$2" in
    *print*) echo 3.11.2 ;;
    *"import venv"*) exit 1 ;;
esac
"""


def setup_with(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the set-up with a Python that answers as `python` does."""
    shutil.copytree(ROOT / "bin", folder / "bin")
    fake = folder / "python3"
    fake.write_text(python)
    fake.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(fake)}
    return subprocess.run(
        [folder / "bin" / "setup"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )


def test_an_old_python_is_one_sentence(tmp_path: Path) -> None:
    result = setup_with(tmp_path, OLD)
    assert result.returncode == 1
    assert result.stderr == (
        "Python 3.11 or newer is needed, found 3.9.2: install a newer one, or name it with PYTHON=/path/to/python3.\n"
    )


def test_a_missing_venv_module_is_one_sentence(tmp_path: Path) -> None:
    result = setup_with(tmp_path, WITHOUT_VENV)
    assert result.returncode == 1
    assert "has no venv module: install it, on Debian or Ubuntu with `apt install python3-venv`." in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": "/nowhere/python3"}
    result = subprocess.run(
        [tmp_path / "bin" / "setup"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "PYTHON=/nowhere/python3 cannot be run" in result.stderr
