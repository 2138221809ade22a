"""`git esaa hooks`: in place, beside what is there, and out again without a trace."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from esaa_git.app.hooks import install, launcher, look, uninstall
from esaa_git.store.repository import open_repository
from tests.conftest import Git, GitFailed
from tests.support.project import Said, run
from tests.support.shared import LOG, MAIN, Shared, health
from tests.support.warm import CHECKOUT, cold

NOTES_WHAT_IT_GOT = """\
#!/bin/sh
echo "$0 $*" > seen
cat >> seen
"""


@pytest.fixture(autouse=True)
def checkout_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hooks start as they do for people: that they do is what is tested here."""
    monkeypatch.setenv("PYTHONPATH", CHECKOUT)
    monkeypatch.setattr("tests.support.shared.environment", cold)


@pytest.fixture
def server(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "server.git")
    return tmp_path / "server.git"


def hooks(*arguments: str | Path, folder: Path | None = None) -> Said:
    """Run `git esaa hooks`."""
    start = () if folder is None else ("-C", str(folder))
    return run(*start, "hooks", *(str(argument) for argument in arguments))


def write(path: Path, content: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def listing(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file of a folder: mode and content, or where it links to."""
    return {
        path.name: (
            stat.S_IMODE(path.lstat().st_mode),
            str(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path in folder.iterdir()
        if not path.is_dir()
    }


# -- in a clone --------------------------------------------------------------------------------


def test_a_clone_gets_pre_push_and_loses_it_again(repo: Path) -> None:
    folder = repo / ".git" / "hooks"
    before = listing(folder)
    said = hooks("install", folder=repo)
    assert (said.code, said.out) == (
        0,
        f"pre-push: installed (verifying), '{folder / 'pre-push'}'\n",
    )
    assert os.access(folder / "pre-push", os.X_OK)
    assert hooks("check", folder=repo).code == 0
    assert hooks("uninstall", folder=repo).out == "pre-push: removed\n"
    assert listing(folder) == before
    assert hooks("check", folder=repo).code == 1


def test_installing_twice_changes_nothing(repo: Path) -> None:
    hooks("install", folder=repo)
    write(repo / ".git" / "hooks" / "pre-push.before-esaa", "#!/bin/sh\n")
    before = listing(repo / ".git" / "hooks")
    assert hooks("install", folder=repo).code == 0
    assert listing(repo / ".git" / "hooks") == before


@pytest.mark.parametrize("setting", [".githooks", "/absolute", "~/hooks"])
def test_core_hookspath_is_honoured(
    repo: Path, git: Git, tmp_path: Path, sealed_home: Path, setting: str
) -> None:
    folder = {
        ".githooks": repo / ".githooks",
        "/absolute": tmp_path / "absolute",
        "~/hooks": sealed_home / "hooks",
    }[setting]
    git(repo, "config", "core.hooksPath", setting.replace("/absolute", str(folder)))
    assert str(folder / "pre-push") in hooks("install", folder=repo).out
    assert (folder / "pre-push").exists()
    assert not (repo / ".git" / "hooks" / "pre-push").exists()
    hooks("uninstall", folder=repo)
    assert list(folder.iterdir()) == []


def test_a_linked_worktree_shares_the_hook(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "--quiet", "../linked")
    assert hooks("install", folder=tmp_path / "linked").code == 0
    assert (repo / ".git" / "hooks" / "pre-push").exists()


# -- on a server -------------------------------------------------------------------------------


def test_a_server_gets_pre_receive_and_update_when_asked(server: Path) -> None:
    assert hooks("install", "--server", server).code == 0
    assert (server / "hooks" / "pre-receive").exists()
    assert not (server / "hooks" / "update").exists()
    assert hooks("install", "--server", server, "--update").code == 0
    assert (server / "hooks" / "update").exists()
    said = hooks("check", "--server", server, "--json")
    assert [one["state"] for one in said.json] == ["current", "current"]
    hooks("uninstall", "--server", server)
    assert hooks("check", "--server", server).code == 1


def test_the_fallback_verifies_nothing_and_says_so(server: Path) -> None:
    said = hooks("install", "--server", server, "--fallback")
    assert said.code == 0
    assert "verifies no signature" in said.out
    assert "installed (append-only)" in hooks("check", "--server", server).out
    assert "installed (verifying)" in hooks("install", "--server", server).out
    assert not (server / "hooks" / "pre-receive.before-esaa").exists()


def test_options_for_a_server_need_one(repo: Path) -> None:
    assert hooks("install", "--fallback", folder=repo).code == 2
    assert hooks("install", "--update", folder=repo).code == 2
    assert hooks("install", "--server", repo, "--update", "--fallback").code == 2


def test_a_folder_that_is_no_repository_is_said_so(tmp_path: Path) -> None:
    said = hooks("install", "--server", tmp_path / "nothing")
    assert said.code == 3
    assert "git opens no repository" in said.err


# -- beside other hooks ------------------------------------------------------------------------


@pytest.mark.parametrize("fallback", [False, True])
def test_a_hook_that_was_there_runs_first_with_the_same_input(
    shared: Shared, fallback: bool
) -> None:
    server = open_repository(shared.server)
    uninstall(server, "pre-receive")
    write(shared.server / "hooks" / "pre-receive", NOTES_WHAT_IT_GOT)
    assert install(server, "pre-receive", fallback=fallback).before is not None
    old = {ref: shared.at(ref) for ref in (LOG, MAIN)}
    shared.taken("--atomic", LOG, MAIN)
    first, *lines = (shared.server / "seen").read_text().splitlines()
    assert first.startswith("hooks/pre-receive.before-esaa") or "/hooks/pre-receive" in first
    assert lines == [f"{old[ref]} {shared.at(ref)} {ref}" for ref in (LOG, MAIN)]
    # Both have a say.
    assert "is not deleted" in shared.refused(f":{LOG}")
    write(shared.server / "hooks" / "pre-receive.before-esaa", "#!/bin/sh\necho no >&2\nexit 3\n")
    forger = shared.forger()
    event = forger.add(health(forger))
    assert "remote: no" in shared.refused(f"{event}:{LOG}")


def test_an_update_hook_that_was_there_gets_its_arguments(shared: Shared) -> None:
    write(shared.server / "hooks" / "update", NOTES_WHAT_IT_GOT)
    install(open_repository(shared.server), "update")
    old = shared.at()
    shared.taken(LOG)
    assert f" {LOG} {old} {shared.at()}\n" in (shared.server / "seen").read_text()


def test_a_pre_push_hook_that_was_there_gets_both(shared: Shared) -> None:
    write(shared.project.path / ".git" / "hooks" / "pre-push", NOTES_WHAT_IT_GOT)
    install(shared.project.repository, "pre-push")
    shared.taken(LOG, MAIN)
    seen = (shared.project.path / "seen").read_text()
    assert "origin ../server.git\n" in seen
    assert f"{MAIN} {shared.at(MAIN)} {MAIN} " in seen


@pytest.mark.parametrize(
    ("content", "mode"),
    [("#!/bin/sh\nexit 0\n", 0o755), ("exit 0\n", 0o700), ("not run\n", 0o644), ("", 0o755)],
)
def test_uninstall_restores_byte_for_byte(server: Path, content: str, mode: int) -> None:
    write(server / "hooks" / "pre-receive", content, mode)
    before = listing(server / "hooks")
    assert hooks("install", "--server", server).code == 0
    assert hooks("install", "--server", server).code == 0
    assert listing(server / "hooks") != before
    hooks("uninstall", "--server", server)
    assert listing(server / "hooks") == before


def test_a_linked_hook_is_kept_as_the_link_it_was(server: Path, tmp_path: Path) -> None:
    """As gitolite has them: every repository's hook is a link to a common one."""
    common = write(tmp_path / "common" / "pre-receive", NOTES_WHAT_IT_GOT)
    (server / "hooks" / "pre-receive").symlink_to(common)
    before = listing(server / "hooks")
    hooks("install", "--server", server)
    assert common.read_text() == NOTES_WHAT_IT_GOT
    hooks("uninstall", "--server", server)
    assert listing(server / "hooks") == before


@pytest.fixture
def common(server: Path, tmp_path: Path) -> Path:
    """A hook of ours that the server's repository has by way of two links."""
    shared = tmp_path / "common" / "pre-receive"
    shared.parent.mkdir()
    shared.write_bytes(launcher("pre-receive"))
    shared.chmod(0o755)
    (tmp_path / "current").symlink_to("common")
    (server / "hooks" / "pre-receive").symlink_to("../../current/pre-receive")
    return shared


def test_a_shared_hook_of_ours_is_judged_behind_its_link(server: Path, common: Path) -> None:
    said = hooks("check", "--server", server)
    assert said.code == 0, said.out
    assert f"a link to '{common}'" in said.out
    common.chmod(0o644)
    assert "not executable" in hooks("check", "--server", server).out
    write(common, "#!/bin/sh\nexit 0\n")
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "not ours" in said.out
    common.unlink()
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "no hook" in said.out
    assert "leads nowhere" in said.out
    common.symlink_to(common)
    assert hooks("check", "--server", server).code == 1


def test_a_shared_hook_of_ours_is_renewed_where_it_lies_and_not_taken_from_others(
    server: Path, common: Path
) -> None:
    common.write_bytes(common.read_bytes() + b"# of another version\n")
    assert "another version" in hooks("check", "--server", server).out
    assert hooks("install", "--server", server).code == 0
    assert common.read_bytes() == launcher("pre-receive")
    assert (server / "hooks" / "pre-receive").is_symlink()
    assert hooks("uninstall", "--server", server).out == "pre-receive: removed\n"
    assert common.exists()
    assert not (server / "hooks" / "pre-receive").is_symlink()


@pytest.mark.parametrize("bare", [True, False])
def test_hooks_of_a_push_are_where_git_looks_for_them(
    shared: Shared, git: Git, tmp_path: Path, bare: bool
) -> None:
    """A relative path begins in the repository's own folder, also where it has a work tree."""
    uninstall(open_repository(shared.server), "pre-receive")
    server = shared.server
    if not bare:
        server = tmp_path / "tree" / ".git"
        server.parent.mkdir()
        server = Path(shutil.move(shared.server, server))
        git(server, "config", "core.bare", "false")
        shared.server = server
    git(server, "config", "core.hooksPath", "common/hooks")
    git(server, "config", "receive.denyCurrentBranch", "ignore")
    at = server if bare else server.parent
    assert hooks("install", "--server", at).code == 0
    assert (server / "common/hooks/pre-receive").exists()
    assert hooks("check", "--server", at).code == 0
    shared.project.git("remote", "set-url", "--push", "origin", str(at))
    assert "is not deleted" in shared.refused(f":{LOG}")


def test_a_hook_that_is_not_executable_does_not_begin_to_run(shared: Shared) -> None:
    uninstall(open_repository(shared.server), "pre-receive")
    write(shared.server / "hooks" / "pre-receive", "#!/bin/sh\nexit 1\n", 0o644)
    install(open_repository(shared.server), "pre-receive")
    shared.taken("--atomic", LOG, MAIN)


def test_a_hook_without_a_first_line_runs_as_git_runs_it(shared: Shared) -> None:
    uninstall(open_repository(shared.server), "pre-receive")
    write(shared.server / "hooks" / "pre-receive", "echo from sh >&2\nexit 1\n")
    install(open_repository(shared.server), "pre-receive")
    assert "from sh" in shared.refused(LOG)


def test_a_forges_folder_of_hooks_is_used_where_there_is_one(server: Path) -> None:
    """Gitea and Forgejo run everything in `pre-receive.d`, and write `pre-receive` anew."""
    delegate = "#!/usr/bin/env bash\nfor hook in ./hooks/pre-receive.d/*; do :; done\n"
    write(server / "hooks" / "pre-receive", delegate)
    write(server / "hooks" / "pre-receive.d" / "gitea", "#!/bin/sh\n")
    assert hooks("install", "--server", server).code == 0
    assert (server / "hooks" / "pre-receive").read_text() == delegate
    assert (server / "hooks" / "pre-receive.d" / "esaa").exists()
    assert hooks("check", "--server", server).code == 0
    hooks("uninstall", "--server", server)
    assert [path.name for path in (server / "hooks" / "pre-receive.d").iterdir()] == ["gitea"]


DISPATCHER = '#!/bin/sh\nfor hook in "$0".d/*; do test -x "$hook" && "$hook" || exit; done\n'


@pytest.mark.parametrize("name", ["esaa", "10-guard", "linked"])
def test_a_hook_of_ours_is_found_in_a_forges_folder_whatever_it_is_called(
    server: Path, tmp_path: Path, name: str
) -> None:
    write(server / "hooks/pre-receive", DISPATCHER)
    ours = server / "hooks/pre-receive.d" / name
    ours.parent.mkdir()
    if name == "linked":
        (tmp_path / "common").write_bytes(launcher("pre-receive"))
        (tmp_path / "common").chmod(0o755)
        ours.symlink_to(tmp_path / "common")
    else:
        ours.write_bytes(launcher("pre-receive"))
        ours.chmod(0o755)
    said = hooks("check", "--server", server)
    assert said.code == 0, said.out
    assert f"pre-receive: installed (verifying), '{ours}'\n" in said.out
    assert f"started by '{server / 'hooks/pre-receive'}'" in said.out
    assert hooks("install", "--server", server).code == 0
    assert [path.name for path in ours.parent.iterdir()] == [name]


def test_a_folder_that_nothing_starts_guards_nothing(server: Path) -> None:
    dispatcher = write(server / "hooks/pre-receive", DISPATCHER)
    (server / "hooks/pre-receive.d").mkdir()
    assert hooks("install", "--server", server).code == 0
    faults = [
        lambda: dispatcher.chmod(0o644),
        lambda: write(dispatcher, "#!/bin/sh\nexit 0\n"),
        dispatcher.unlink,
    ]
    for spoil, why in zip(
        faults,
        (
            "'pre-receive' beside 'pre-receive.d', which would start it, is not executable",
            "'pre-receive' beside 'pre-receive.d' does not start what is in there",
            "there is no 'pre-receive' beside it",
        ),
        strict=True,
    ):
        spoil()
        said = hooks("check", "--server", server)
        assert said.code == 1
        assert why in said.out
    assert hooks("install", "--server", server).code == 0
    assert hooks("check", "--server", server).code == 0


@pytest.mark.parametrize("there", [None, "pre-receive", "pre-receive.d"])
def test_gitlabs_folder_of_a_repository_is_where_its_server_looks(
    server: Path, there: str | None
) -> None:
    custom = server / "custom_hooks"
    custom.mkdir()
    assert "no hook" in hooks("check", "--server", server).out
    if there is None:
        assert hooks("install", "--server", server).code == 0
    else:
        ours = custom / there / "guard" if there.endswith(".d") else custom / there
        ours.parent.mkdir(exist_ok=True)
        ours.write_bytes(launcher("pre-receive"))
        ours.chmod(0o755)
    said = hooks("check", "--server", server)
    assert said.code == 0, said.out
    assert f"started by '{custom}'" in said.out
    hooks("uninstall", "--server", server)
    assert hooks("check", "--server", server).code == 1


def test_two_hooks_of_somebody_elses_are_not_mixed_up(server: Path) -> None:
    write(server / "hooks" / "pre-receive", "#!/bin/sh\n# the first\n")
    hooks("install", "--server", server)
    write(server / "hooks" / "pre-receive", "#!/bin/sh\n# the second, over ours\n")
    before = listing(server / "hooks")
    said = hooks("install", "--server", server)
    assert said.code == 6
    assert "hint: " in said.err
    assert hooks("uninstall", "--server", server).code == 0
    assert listing(server / "hooks") == before


# -- check -------------------------------------------------------------------------------------


def test_check_says_what_is_wrong(server: Path) -> None:
    hook = server / "hooks" / "pre-receive"
    assert "no hook" in hooks("check", "--server", server).out
    write(hook, "#!/bin/sh\n")
    assert "not ours" in hooks("check", "--server", server).out
    hook.unlink()
    hooks("install", "--server", server)
    hook.chmod(0o644)
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "not executable" in said.out
    hooks("install", "--server", server)
    assert hooks("check", "--server", server).code == 0
    hook.write_bytes(hook.read_bytes() + b"# of another version\n")
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "another version" in said.out
    hooks("install", "--server", server)
    assert hooks("check", "--server", server).code == 0


def test_check_starts_the_hook_and_says_why_it_does_not_run(server: Path, git: Git) -> None:
    hooks("install", "--server", server)
    git(server, "config", "esaa.requireEffects", "perhaps")
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "esaa.requireEffects is 'perhaps'" in said.out


def test_an_interpreter_that_is_gone_is_found(server: Path) -> None:
    hooks("install", "--server", server)
    hook = server / "hooks" / "pre-receive"
    hook.write_bytes(b"#!/no/such/python\n" + hook.read_bytes().partition(b"\n")[2])
    said = hooks("check", "--server", server)
    assert said.code == 1
    assert "cannot be started" in said.out


@pytest.mark.parametrize("name", ["with space", "it's", "long-" + "x" * 150])
def test_an_interpreter_of_any_name_works(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    python = tmp_path / name / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    # A link to the interpreter leaves its virtual environment behind.
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    path = os.pathsep.join([CHECKOUT, *packages])
    monkeypatch.setenv("PYTHONPATH", path)
    hook = shared.server / "hooks" / "pre-receive"
    hook.write_bytes(launcher("pre-receive"))
    assert look(open_repository(shared.server), "pre-receive").is_sound
    shared.taken("--atomic", LOG, MAIN, env={"PYTHONPATH": path})
    assert "is not deleted" in shared.refused(f":{LOG}", env={"PYTHONPATH": path})


def test_modules_beside_the_hook_are_not_imported(shared: Shared) -> None:
    folder = shared.server / "hooks"
    for name in ("typing", "esaa_git", "pygit2"):
        (folder / f"{name}.py").write_text("raise SystemExit(0)\n")
    assert "is not deleted" in shared.refused(f":{LOG}")
    shared.taken("--atomic", LOG, MAIN)


def test_the_hook_of_a_clone_is_passed_by_with_no_verify(shared: Shared, git: Git) -> None:
    install(shared.project.repository, "pre-push")
    uninstall(open_repository(shared.server), "pre-receive")
    with pytest.raises(GitFailed):
        shared.project.git("push", "origin", MAIN)
    shared.project.git("push", "--no-verify", "origin", MAIN)
