"""Check that an environment has the oldest versions that astrogalaxy and its extras allow, as they are declared.

tox -e py311-test-oldestdeps runs it. A newer version means that a declared bound is not the one that is tested.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.version import Version


def problems() -> list[str]:
    """Packages whose installed version is not their lower bound; those that are not installed do not count."""
    found = []
    for text in requires("astrogalaxy") or []:
        requirement = Requirement(text)
        bounds = [s.version for s in requirement.specifier if s.operator == ">="]
        try:
            here = Version(version(requirement.name))
        except PackageNotFoundError:
            continue
        if bounds and here.release[: len(Version(bounds[0]).release)] != Version(bounds[0]).release:
            found.append(f"{requirement.name}: {here} is installed, the bound is {bounds[0]}")
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    wrong = problems()
    print("\n".join(wrong or ["every dependency is the oldest one allowed"]))
    sys.exit(bool(wrong))
