"""What every test shares: few threads, and a WEAKLIB_HOME that is not the user's."""
import os
from pathlib import Path

import weaklib  # noqa: F401  isort: skip  # before torch, so that threads that wait leave the cores to others

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--screenshots", type=Path, metavar="FOLDER", help="keep pictures of the widgets in this folder")


@pytest.fixture(scope="session", autouse=True)
def threads():
    """Two threads: the tests must not take the machine over, and the numbers must not depend on it."""
    torch.set_num_threads(2)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """One WEAKLIB_HOME for all tests, so that each smoke corpus renders once."""
    path = tmp_path_factory.mktemp("home")
    before = os.environ.get("WEAKLIB_HOME")
    os.environ["WEAKLIB_HOME"] = str(path)
    yield path
    if before is None:
        del os.environ["WEAKLIB_HOME"]
    else:
        os.environ["WEAKLIB_HOME"] = before
