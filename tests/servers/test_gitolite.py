"""A log on gitolite, with our hook among its common ones, as the guide on server hooks has it.

gitolite is the real one, set up in a folder of its own; in the place of sshd stands a script that
starts gitolite's shell as sshd does by the line that gitolite writes into authorized_keys.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import run
from tests.support.team import LOG, MAIN, Team, copy, hook_environment

pytestmark = pytest.mark.servers

SSH = """\
#!/bin/sh
HOME={home} USER=git SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22' SSH_ORIGINAL_COMMAND=$2
export HOME USER SSH_CONNECTION SSH_ORIGINAL_COMMAND
exec {shell} "$1"
"""


@dataclass
class Gitolite:
    """Where gitolite keeps what is its own, and the repository that everybody may push to."""

    home: Path
    repository: Path

    @property
    def common(self) -> Path:
        return self.home / "local/hooks/common"

    def gitolite(self, *arguments: str) -> str:
        env = {**os.environ, "HOME": str(self.home), "USER": "git"}
        command = ["gitolite", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def gitolite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gitolite:
    for program, package in (("gitolite", "gitolite3"), ("ssh-keygen", "openssh-client")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {package})")
    home = tmp_path / "gitolite"
    home.mkdir()
    found = Gitolite(home, home / "repositories/testing.git")
    key = home / "admin"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    found.gitolite("setup", "-pk", f"{key}.pub")
    settings = home / ".gitolite.rc"
    written = settings.read_text()
    local = 'LOCAL_CODE                =>  "$ENV{HOME}/local",'
    assert f"# {local}" in written
    settings.write_text(written.replace(f"# {local}", local))
    found.common.mkdir(parents=True)
    ssh = home / "ssh"
    shell = Path(found.gitolite("query-rc", "GL_BINDIR")) / "gitolite-shell"
    ssh.write_text(SSH.format(home=home, shell=shell))
    ssh.chmod(0o755)
    hook_environment(monkeypatch)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    return found


def test_a_common_hook_of_gitolite_guards_every_repository(
    gitolite: Gitolite, template: Team, tmp_path: Path, git: Git
) -> None:
    team = copy(template, tmp_path)
    team.one.git("remote", "add", "hosted", "writer:testing")
    assert "no hook" in run("hooks", "check", "--server", str(gitolite.repository)).out

    git(tmp_path, "init", "--quiet", "--bare", "scratch.git")
    assert run("hooks", "install", "--server", str(tmp_path / "scratch.git")).code == 0
    shutil.copy(tmp_path / "scratch.git/hooks/pre-receive", gitolite.common)
    gitolite.gitolite("setup", "--hooks-only")

    said = run("hooks", "check", "--server", str(gitolite.repository))
    assert said.code == 0, said.out
    assert f"a link to '{gitolite.common / 'pre-receive'}'" in said.out
    assert "'hosted' is set up" in team.one.ok("remote", "setup", "hosted")
    assert f"pushed to 'hosted': {LOG}, {MAIN}" in team.one.ok("push", "hosted")
    refs = git(gitolite.repository, "for-each-ref")
    first = team.one.chain()[0].oid
    for refspec, why in (
        (f"+{first}:{LOG}", "the log only grows"),
        (f":{LOG}", "is not deleted"),
        (f"{MAIN}:refs/esaa/else", "refused"),
    ):
        done = subprocess.run(
            ["git", "push", "hosted", refspec],
            cwd=team.one.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert why in done.stderr
    assert git(gitolite.repository, "for-each-ref") == refs
