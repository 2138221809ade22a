"""`setup` of a kind or an agent, as it stands in the contracts."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import Contracts
from esaa_git.core.judges import commands, judges_of, unpinned
from esaa_git.core.programs import Programs
from esaa_git.core.proposal import Boundary
from esaa_git.core.setup import Setup, is_under, setup_of
from esaa_git.core.task import Task
from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import contracts

OF_KIND = ("AGENT_CONTRACT.yaml", "kinds", "spec", "setup")
OF_AGENT = ("agents_swarm.yaml", "agents", "agent-spec", "setup")
WRITE = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")
CHECKS = ("AGENT_CONTRACT.yaml", "kinds", "spec", "checks")

VENV = {"run": ["python3", "-m", "venv", ".venv"], "provides": [".venv"], "path": [".venv/bin"]}
SCRIPT = {"run": ["scripts/setup.sh"], "keys": ["*.lock"], "provides": ["build/deps"]}
TESTS = {"name": "tests", "run": [".venv/bin/python", "-m", "pytest"]}


def made(*steps: dict[str, Any]) -> Setup | None:
    return setup_of(steps, "kind 'spec'", "AGENT_CONTRACT.yaml: kinds/spec/setup")


def pinned(given: Contracts, **files: bytes) -> Contracts:
    programs = {name: ("100755", content) for name, content in files.items()}
    return Contracts(given.files, Programs.of(programs))


def test_a_list_is_one_environment() -> None:
    found = made(
        {**VENV, "variables": {"B": "2", "A": "1"}, "read": ["/srv/a"]},
        {**SCRIPT, "timeout": "PT2M", "hosts": ["pypi.org:443"], "read": ["/srv/b"]},
    )
    assert found is not None
    assert found.provides == (".venv", "build/deps")
    assert (found.keys, found.path) == (("*.lock",), (".venv/bin",))
    assert found.variables == (("A", "1"), ("B", "2"))
    assert found.read == ("/srv/a", "/srv/b")
    assert [step.timeout_ms for step in found.steps] == [600_000, 120_000]
    assert found.steps[1].given["hosts"] == ["pypi.org:443"]
    assert found.makes(".venv/bin/python")
    assert not found.makes(".venvs")
    assert made() is None


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"run": ["true"]}, "provides nothing"),
        ({**SCRIPT, "provides": ["../out"]}, "'../out' cannot be provided"),
        ({**SCRIPT, "provides": ["a//b"]}, "'a//b' cannot be provided"),
        ({**SCRIPT, "provides": ["/abs"]}, "'/abs' cannot be provided"),
        ({**SCRIPT, "provides": ["a/.git"]}, "'a/.git' cannot be provided"),
        ({**SCRIPT, "provides": [".roadmap/agents"]}, "'.roadmap/agents' cannot be provided"),
        ({**SCRIPT, "provides": [".ROADMAP/agents"]}, "'.ROADMAP/agents' cannot be provided"),
        ({**SCRIPT, "provides": [".Esaa"]}, "'.Esaa' cannot be provided"),
        ({**SCRIPT, "provides": ["a", "a/b"]}, "'a/b' is, or lies below, another path"),
        ({**SCRIPT, "provides": ["A", "a/b"]}, "'a/b' is, or lies below, another path"),
        ({**VENV, "path": ["bin"]}, "'bin' under 'path' is none of what it provides"),
        ({**VENV, "path": [".venv/../x"]}, "'.venv/../x' under 'path'"),
        ({**VENV, "timeout": "PT0S"}, "timeout is no time at all"),
        ({**VENV, "env": ["PÄTH"]}, "is no name of a variable"),
        ({**VENV, "hosts": ["pypі.org:443"]}, "holds other characters"),
        ({**VENV, "hosts": ["pypi.org"]}, "hosts: 'pypi.org' is not of the form 'name:port'"),
        ({**VENV, "hosts": ["https://pypi.org:443"]}, "is not of the form 'name:port'"),
        ({**VENV, "hosts": ["*.pypi.org:443"]}, "is not of the form 'name:port'"),
        ({**VENV, "read": ["cache"]}, "read: 'cache' is neither absolute nor begins with '~/'"),
        ({**VENV, "variables": {"PATH": "x"}}, "'PATH' cannot be set"),
        ({**VENV, "variables": {"home": "x"}}, "'home' cannot be set"),
        ({**VENV, "variables": {"GIT_DIR": "x"}}, "'GIT_DIR' cannot be set"),
        ({**VENV, "variables": {"LD_PRELOAD": "x"}}, "'LD_PRELOAD' cannot be set"),
        ({**VENV, "variables": {"PYTHONPATH": "x"}}, "'PYTHONPATH' cannot be set"),
        ({**VENV, "variables": {"A-B": "x"}}, "'A-B' cannot be set"),
        ({**VENV, "keys": ["a[" * 300]}, "setup/keys"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(step)
    assert words in caught.value.message
    assert caught.value.message.startswith("AGENT_CONTRACT.yaml: kinds/spec/setup")
    assert caught.value.hint is not None


LOADING = (
    "npm_config_node_options NPM_CONFIG_USERCONFIG DOTNET_STARTUP_HOOKS MANPAGER BASHOPTS "
    "CORECLR_PROFILER_PATH OPENSSL_CONF BUN_OPTIONS GCONV_PATH"
)
LEADING = "XDG_CONFIG_HOME CODEX_HOME CLAUDE_CONFIG_DIR claude_config_dir ANTHROPIC_BASE_URL"


@pytest.mark.parametrize("name", f"{LOADING} {LEADING}".split())
def test_no_variable_loads_code_into_an_agent_or_leads_it_elsewhere(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"variables: '{name}' cannot be set"):
        made({**VENV, "variables": {name: "{checkout}/.venv"}})


def test_variables_of_builds_and_caches_may_be_set() -> None:
    names = ("CARGO_HOME", "RUSTUP_HOME", "UV_PYTHON_INSTALL_DIR", "UV_CACHE_DIR", "MAKEFLAGS")
    names += ("PIP_INDEX_URL", "npm_config_cache", "NODE_ENV", "PYTHONDONTWRITEBYTECODE", "GOPATH")
    found = made({**VENV, "variables": dict.fromkeys((*names, "XDG_CACHE_HOME"), "x")})
    assert found is not None
    assert len(found.variables) == len(names) + 1


@pytest.mark.parametrize("place", [OF_KIND, OF_AGENT], ids=["kind", "agent"])
def test_kinds_and_agents_say_it_in_one_shape(place: tuple[str, ...]) -> None:
    given = contracts({place: [VENV, SCRIPT]})
    given.check()
    (found,) = given.setups()
    assert found.provides == (".venv", "build/deps")
    assert given.provided == found.provides
    assert [who for who, words in commands(given) if words[0] == "scripts/setup.sh"] == [
        f"setup of {found.owner}"
    ]
    broken = contracts({place: [{"run": ["true"]}]})
    with pytest.raises(ConfigurationError, match="provides nothing"):
        broken.check()


def test_an_agent_works_in_the_setup_of_the_kind_and_then_in_its_own() -> None:
    own = {"run": ["true"], "provides": ["own"]}
    given = contracts({OF_KIND: [VENV], OF_AGENT: [own]})
    assert [one.owner for one in given.at_work("agent-spec", "spec").setups] == [
        "kind 'spec'",
        "agent 'agent-spec'",
    ]
    assert [one.owner for one in given.at_work("agent-spec", "impl").setups] == [
        "agent 'agent-spec'"
    ]


def test_a_check_runs_in_the_setup_of_its_kind_whoever_names_it() -> None:
    given = pinned(contracts({OF_KIND: [VENV], CHECKS: [TESTS]}))
    task = Task("T-1", "spec", "A task", checks=())
    (check,) = required_checks(task, given)
    assert check.setup is not None
    assert check.setup.provides == (".venv",)
    assert check.setup.programs is given.programs


def test_checks_in_a_setup_are_told_apart_by_all_that_it_says() -> None:
    """What has run already is looked up by the checks themselves."""
    one, same, other = (
        required_checks(
            Task("T-1", "spec", "A task", checks=()),
            contracts({OF_KIND: [{**VENV, "env": [name]}], CHECKS: [TESTS]}),
        )
        for name in ("A", "A", "B")
    )
    assert len({one, same, other}) == 2


def test_a_script_of_a_setup_judges_and_what_it_provides_does_not() -> None:
    given = pinned(contracts({OF_KIND: [VENV, SCRIPT], CHECKS: [TESTS]}))
    assert judges_of(given).hold("scripts/setup.sh")
    assert not judges_of(given).hold(".venv/bin/python")
    assert unpinned(TESTS["run"], given) == ()
    assert unpinned(["scripts/setup.sh"], given) == ("scripts/setup.sh",)
    assert unpinned([".other/bin/python"], given) == (".other/bin/python",)


@pytest.mark.parametrize("path", ["build/Deps/x", "BUILD/deps", "build"])
def test_no_proposal_writes_what_is_provided_in_another_case_or_in_its_way(path: str) -> None:
    given = contracts({OF_KIND: [SCRIPT], WRITE: ["**"]})
    refused = Boundary.of(Task("T-1", "spec", "A task"), given).check(path)
    assert refused is not None
    assert "is made by a setup" in refused.message


def test_a_path_is_under_another_by_whole_names() -> None:
    assert is_under("a/b/c", ["x", "a/b"])
    assert is_under("a/b", ["a/b"])
    assert not is_under("a/bc", ["a/b"])
