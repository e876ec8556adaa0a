"""Settings shared by the tests of stores."""

import pytest
from stores import run_server


@pytest.fixture(scope="session")
def begin():
    with run_server() as begin:
        yield begin
