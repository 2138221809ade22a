"""`resource_path` finds the folders that travel with the package, in a checkout and in a wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from esaa_git import resources
from esaa_git.errors import ConfigurationError
from esaa_git.resources import ResourceKind, resource_path

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder of our own making, for `resource_path` to search around."""
    package = tmp_path / "site-packages" / "esaa_git"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "__file__", str(package / "resources.py"))
    return package


@pytest.mark.parametrize("kind", ["hooks", "templates"])
def test_a_checkout_uses_its_top_level_folders(kind: ResourceKind) -> None:
    assert resource_path(kind) == CHECKOUT / kind


@pytest.mark.parametrize("kind", ["hooks", "templates"])
def test_a_wheel_uses_the_data_inside_the_package(kind: ResourceKind, package: Path) -> None:
    folder = package / "_data" / kind
    folder.mkdir(parents=True)
    assert resource_path(kind) == folder


def test_parts_lead_below_the_folder(package: Path) -> None:
    contract = package / "_data" / "templates" / "default" / "AGENT_CONTRACT.yaml"
    contract.parent.mkdir(parents=True)
    contract.write_text("limits: {}\n")
    assert resource_path("templates", "default", "AGENT_CONTRACT.yaml") == contract


def test_a_folder_that_merely_lies_beside_an_installed_package_is_not_taken(package: Path) -> None:
    (package.parent / "templates").mkdir()
    with pytest.raises(ConfigurationError):
        resource_path("templates")


def test_what_is_missing_is_named_with_the_places_searched_and_a_way_out(package: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resource_path("hooks", "pre-receive")
    assert caught.value.message == "'hooks/pre-receive' is missing from this installation"
    assert str(package / "_data" / "hooks" / "pre-receive") in str(caught.value.cause)
    assert "pip install" in str(caught.value.hint)


def test_finding_a_hook_loads_no_dependency() -> None:
    heavy = {"click", "cryptography", "jsonschema", "jsonschema_rs", "pygit2", "rich", "yaml"}
    program = "import sys, esaa_git.resources; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert heavy.isdisjoint(done.stdout.split())
