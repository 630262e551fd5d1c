import sys
import types

import pytest


@pytest.fixture(scope="session")
def torchvision_models():
    """torchvision's networks, where it is installed.

    Beside a CPU build of torch it fails to import: it registers shapes for operators that only its compiled half
    defines. No network needs them, so an empty module takes their place.
    """
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    return pytest.importorskip("torchvision", reason="torchvision is not installed").models
