"""What tests of whole commands share."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

# Its build needs hatchling alone, which is here: pip asks for the metadata before it keeps a file.
PACKAGE = "annotated-types==0.7.0"


@pytest.fixture
def published(tmp_path: Path, outer_environ: dict[str, str]) -> Path:
    """The unpacked source distribution of a small package that people use."""
    folder = tmp_path / "index"
    folder.mkdir()
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    download += ["--no-binary", ":all:", "--no-build-isolation", "--timeout", "10"]
    try:
        done = subprocess.run(
            [*download, "--retries", "0", "--dest", str(folder), PACKAGE],
            env=outer_environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the package index does not answer")
    found = sorted(folder.glob("*.tar.gz"))
    if not found:
        pytest.skip(f"the package index is not reachable: {done.stderr.strip()[-200:]}")
    with tarfile.open(found[0]) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return next((folder / "unpacked").iterdir())
