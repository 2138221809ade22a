"""The list of files that run by themselves: what is on it, what stays open, who may open it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from esaa_git.core.proposal import Boundary
from esaa_git.core.self_running import VERSIONS, families, patterns, runs_by_itself
from esaa_git.core.task import Task
from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import contracts

AGENT = "AGENT_CONTRACT.yaml"
DIGEST = "93442daece63260598659ce891af278744a3b2dbf1233f01deb2ff1ca5ca5c3a"

CLOSED = """
.github/workflows/x.yml .GITHUB/workflows/x.yml .github a/b/.github/actions/x/action.yml
.gitlab-ci.yml .gitlab-ci.yaml team.gitlab-ci.yml .gitea/workflows/x.yml .forgejo/workflows/x.yml
.circleci/config.yml .buildkite/hooks/pre-command .semaphore/semaphore.yml .woodpecker.yaml
.woodpecker/x.yml .drone.yml .drone.jsonnet .drone.star .travis.yml .cirrus.star .builds/x.yml
.tekton/x.yaml .teamcity/settings.kts azure-pipelines.yml ci/azure-pipelines-release.yaml
.azuredevops/pipelines/x.yml .pipelines/x.yml Jenkinsfile ci/Jenkinsfile.release deploy.jenkinsfile
bitbucket-pipelines.yml cloudbuild.yaml buildspec.yml appspec.yml .appveyor.yml zuul.yaml
.zuul.d/x.yaml screwdriver.yaml wercker.yml codemagic.yaml bitrise.yml .harness/x.yaml
codeship-steps.yml build.gocd.yaml .cds/x.yml .prow.yaml .ci-operator.yaml .packit.yaml .vela.yml
.taskcluster.yml .evergreen.yml .onedev-buildspec.yml buddy.yml codefresh.yml .space.kts
ios/ci_scripts/ci_post_clone.sh .sourcecraft/ci.yaml .bazelci/presubmit.yml .tangled/workflows/x.yml
.vscode/tasks.json .VSCode/tasks.json deep/.vscode/settings.json app.code-workspace .idea/x.xml
.run/x.run.xml x.run.xml .fleet/run.json .zed/tasks.json .exrc .nvim.lua .vimrc .lazy.lua
.dir-locals.el .dir-locals-2.el x.sublime-project .projectile .project .settings/x.prefs
.helix/languages.toml .lite_project.lua .luarc.json .clangd rust-analyzer.toml .vs/tasks.vs.json
.claude/settings.json CLAUDE.md docs/Claude.MD CLAUDE.local.md AGENTS.md AGENTS.override.md
GEMINI.md .mcp.json mcp.json .cursor/mcp.json .cursorrules .windsurfrules .windsurf/rules/x.md
.clinerules .roo/mcp.json .roomodes .kilocode/rules/x.md .kiro/steering/x.md .continue/config.yaml
.continuerc.json .aider.conf.yml .junie/guidelines.md .copilot/mcp-config.json .codex/config.toml
.gemini/settings.json .opencode/plugin/x.ts opencode.jsonc crush.json QWEN.md .qwen/settings.json
.amazonq/rules/x.md .augment-guidelines .trae/rules/x.md .goosehints WARP.md .factory/droids/x.md
.openhands/setup.sh .tabnine/guidelines/x.md .rules .ruler/x.md .rulesync/x.md replit.md
.agent/rules/x.md .agents/skills/x .devcontainer/devcontainer.json sub/.devcontainer/x.sh
.devcontainer.json .gitpod.yml .gitpod.Dockerfile .replit replit.nix .codesandbox/tasks.json
.stackblitzrc .idx/dev.nix devfile.yaml .ddev/config.yaml .binder/postBuild
docker-compose.override.yml compose.override.yaml .flox/env/manifest.toml .gitattributes
sub/.gitattributes .gitignore .gitmodules .gitconfig .lfsconfig .githooks/pre-commit
.husky/pre-commit .huskyrc.js .pre-commit-config.yaml .pre-commit-hooks.yaml lefthook.yml
.lefthook-local.yml lefthook.json .lefthook/x.sh .overcommit.yml .simple-git-hooks.cjs
captainhook.json .lintstagedrc.js commitlint.config.js .gitlint .hg/hgrc .reviewboardrc .arclint
.npmrc sub/.npmrc .yarnrc.yml .yarn/releases/yarn.cjs .pnp.cjs .pnpmfile.cjs bunfig.toml .pypirc
uv.toml poetry.toml .cargo/config.toml rust-toolchain.toml .mvn/extensions.xml gradle/wrapper/x.jar
.gradle/init.d/x.gradle .bundle/config .sbtopts nuget.config NuGet.Config .bazelrc tools/bazel
.bazeliskrc .buckconfig .pants.rc .moon/toolchain.yml ansible.cfg .chef/config.rb .terraform/x
.envrc sub/.envrc .env .env.local .env.production mise.toml .mise.local.toml
.config/mise/config.toml .tool-versions .sdkmanrc .nvmrc .autoenv.zsh .bashrc .zshenv .profile
.python-version sitecustomize.py lib/usercustomize.py x.pth pyvenv.cfg .pdbrc .gdbinit lib-gdb.py
.lldbinit .ghci .Rprofile .Renviron .iex.exs .erlang .irbrc .pryrc .ocamlinit .proverc
public/.htaccess .user.ini renovate.json renovate.json5 .renovaterc .mergify.yml bors.toml
.codecov.yml codecov.yml .releaserc.js release.config.js .goreleaser.yaml .readthedocs.yaml
netlify.toml vercel.json render.yaml fly.toml heroku.yml .ebextensions/x.config .platform/hooks/x.sh
.platform.app.yaml nixpacks.toml .cpanel.yml .spacelift/config.yml atlantis.yaml
.terrateam/config.yml .do/app.yaml railway.json .dependabot/config.yml .gitlab-ci/x.yml circle.yml
.gitee/x.yml .ycm_extra_conf.py hie.yaml .lsp/config.edn
.clj-kondo/config.edn .serena/project.yml .specify/scripts/x.sh .pr_agent.toml .ai/guidelines/x.md
gptme.toml codebuff.json AmazonQ.md .cz-config.js grumphp.yml pnpmfile.js profiles.clj
mise/config.toml ipython_config.py jupyter_notebook_config.py desktop.ini autorun.inf .directory
x.lnk x.library-ms .pyup.yml smithery.yaml .sonarcloud.properties .talismanrc .emacs.desktop
CODEOWNERS docs/CODEOWNERS
OWNERS .netrc _netrc .git-credentials .pgpass .aws/credentials .sops.yaml
""".split()  # noqa: SIM905 - a line each would be hundreds

OPEN = """
src/app.py tests/test_app.py docs/guide.md Makefile package.json setup.py Dockerfile pyproject.toml
conftest.py tests/conftest.py .gitkeep .editorconfig .env.example .env.sample tsconfig.json
README.md webpack.config.js eslint.config.js .eslintrc.json .prettierrc Cargo.toml go.mod
docker-compose.yml flake.nix .dockerignore environment.py agents.py agents/x.py owners/x.py
src/owners/views.py claude.py docs/claude-code.md docs/agents-guide.md requirements.txt src/ci/x.py
src/github/x.py config/app.yaml render.py build.yml src/vscode/x.ts rules.md idea.md run.py env.py
.root/x src/renovate.ts vercel.ts gradle.properties settings.gradle build.gradle pom.xml mvnw
gradlew CMakeLists.txt Gemfile Rakefile tox.ini setup.cfg noxfile.py .clang-format
.git-blame-ignore-revs Directory.Build.props global.json
""".split()  # noqa: SIM905 - a line each would be hundreds


@pytest.mark.parametrize("path", CLOSED)
def test_what_runs_by_itself_is_closed_at_any_depth_and_in_any_case(path: str) -> None:
    spellings = {path, path.upper(), path.lower(), f"deep/er/{path}", f"{path}/below"}
    for spelling in spellings:
        # OWNERS is a file, and a folder of that name is source.
        if spelling != "OWNERS/below":
            assert runs_by_itself(spelling, 1) is not None, spelling


@pytest.mark.parametrize("path", OPEN)
def test_source_and_what_is_started_by_its_name_stays_open(path: str) -> None:
    assert runs_by_itself(path, 1) is None


@pytest.mark.parametrize(
    "path",
    [
        ".ｇithub/workflows/x.yml",
        "CLAUDE.ｍd",
        ".vſcode/tasks.json",  # a long s, which folds to an s
        "ＡGENTS.md",
        ".gi\u200dthub/x",
        ".\u212airo/steering/x.md",  # the sign of kelvin
    ],
)
def test_no_spelling_that_a_file_system_folds_opens_a_name(path: str) -> None:
    assert runs_by_itself(path, 1) is not None


def boundary(kind: str, **agent_contract: Any) -> Boundary:
    changes = {(AGENT, *key.split("__")): value for key, value in agent_contract.items()}
    return Boundary.of(Task("T-1", kind, ""), contracts(changes))


def test_the_default_contract_closes_the_list_to_impl_and_names_who_may() -> None:
    found = boundary("impl").check("sub/.gitignore")
    assert found is not None
    assert found.code == "PATH_PROTECTED"
    assert found.detail == {"path": "sub/.gitignore", "family": "git", "kinds": ["setup"]}
    assert "a task of kind setup may" in found.message
    found = boundary("impl").check(".github/workflows/x.yml")
    assert found is not None
    assert "no kind opens it" in found.message
    assert boundary("impl").check("src/app.py") is None


def test_setup_writes_git_s_settings_and_tool_configuration_with_a_review() -> None:
    setup = boundary("setup")
    assert setup.kind.review == "required"
    for path in (".gitignore", "sub/.gitattributes", ".editorconfig", "pyproject.toml", ".nvmrc"):
        assert setup.check(path) is None
    for path in (
        ".github/x.yml",
        ".gitmodules",
        "AGENTS.md",
        ".env",
        ".roadmap/plan.yaml",
        "src/a.py",
    ):
        assert setup.check(path) is not None


def test_a_kind_opens_by_name_and_no_further() -> None:
    opened = boundary("impl", kinds__impl__opens=[".github/workflows/**", "**/CLAUDE.md"])
    assert opened.check(".github/workflows/x.yml") is None
    assert opened.check("deep/CLAUDE.md") is None
    for path in (".github/dependabot.yml", "sub/.github/workflows/x.yml", "AGENTS.md", "claude.md"):
        found = opened.check(path)
        assert found is not None
        assert found.code == "PATH_PROTECTED"


def test_what_is_opened_still_has_to_be_what_the_task_may_write() -> None:
    of_task = Task("T-1", "impl", "", writes=("docs/**",))
    closed = Boundary.of(of_task, contracts({(AGENT, "kinds", "impl", "opens"): [".github/**"]}))
    found = closed.check(".github/x.yml")
    assert found is not None
    assert found.code == "BOUNDARY_VIOLATION"


def test_no_opening_reaches_what_the_contract_prohibits_or_what_is_ours() -> None:
    opened = boundary(
        "impl", kinds__impl__opens=[".github/**", ".gitmodules"], prohibitions__paths=[".github/**"]
    )
    for path in (".github/x.yml", ".gitmodules", ".git/config"):
        found = opened.check(path)
        assert found is not None
        assert found.code == "PATH_PROTECTED"


@pytest.mark.parametrize("pattern", ["**", "*", "**/*", "*.json", "**/*.md", "src/**", ".*/**"])
def test_an_opening_names_what_it_opens(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="names no file or folder that runs by itself"):
        _ = contracts({(AGENT, "kinds", "impl", "opens"): [pattern]}).agent


def test_without_a_version_nothing_is_closed_as_in_older_logs() -> None:
    document = json.loads(json.dumps({"paths": [".github/**"], "operations": []}))
    older = {(AGENT, "prohibitions"): document}
    swept = {(AGENT, "kinds", "setup", "opens"): []}
    found = Boundary.of(Task("T-1", "impl", ""), contracts(older | swept))
    assert found.check(".gitignore") is None
    assert found.check(".github/x.yml") is not None


def test_openings_without_a_list_are_a_mistake() -> None:
    document = {"paths": [], "operations": []}
    with pytest.raises(ConfigurationError, match="opens what is closed by no list"):
        _ = contracts({(AGENT, "prohibitions"): document}).agent


def test_a_version_of_tomorrow_is_named_and_not_passed_over() -> None:
    with pytest.raises(ConfigurationError, match="names version 99 of the list") as caught:
        _ = contracts({(AGENT, "prohibitions", "self_running"): 99}).agent
    assert "upgrade git-esaa" in str(caught.value.hint)


def test_a_released_version_never_changes() -> None:
    # A log that pins version 1 is judged by it for ever: a new name belongs into version 2. Until
    # the first release this digest may follow the list.
    text = json.dumps({name: list(listed) for name, listed in families(1).items()})
    assert list(VERSIONS) == [1]
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


def test_every_pattern_is_lower_case_and_stands_once() -> None:
    listed = [found.pattern for found in patterns(1)]
    assert len(listed) == len(set(listed))
    assert all(pattern == pattern.lower() and pattern.isascii() for pattern in listed)
    assert all(pattern.count("/") <= 1 and pattern.strip("*./") for pattern in listed)
