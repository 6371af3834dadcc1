"""What the browser tests share."""
from contextlib import ExitStack
from functools import cache

import lab
import pytest

from weaklib.files import WeaklibError


@pytest.fixture(scope="module")
def chromium():
    """A function that starts Chromium with some flags; the tests are skipped where it is missing."""
    with ExitStack() as stack:

        @cache  # two of Playwright's at once are not allowed
        def start(*flags):
            try:
                return stack.enter_context(lab.chromium(*flags))
            except WeaklibError as e:
                pytest.skip(str(e))

        yield start


@pytest.fixture
def screenshots(request, tmp_path):
    """The folder for pictures: `--screenshots`, or one that is thrown away."""
    folder = request.config.getoption("--screenshots") or tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder
