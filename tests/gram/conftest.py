"""Settings shared by the tests of stores."""

import pytest
from forks import forks
from stores import RUN


@pytest.fixture(scope="session")
def begin():
    with forks(RUN) as begin:
        yield begin
