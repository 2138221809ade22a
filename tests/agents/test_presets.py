"""Presets: what each tool is started with, and what its report amounts to.

The reports have the shape of what the tools printed (claude 2.1.197, codex 0.169.0, gemini 0.61.0,
opencode 1.18.33, copilot 1.0.102, aider 0.86.2) when a model on loopback answered them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.agents.presets import PRESETS as DOOR
from esaa_git.agents.presets.preset import Report, ToolOutput, count, document, microdollars
from esaa_git.agents.programs import check_names
from esaa_git.agents.registry import check_swarm
from esaa_git.agents.worktree import tool_away
from esaa_git.core import canonical
from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.contracts import SWARM, Contracts
from esaa_git.core.documents import decode_yaml
from esaa_git.core.rejection import RejectCode
from esaa_git.sandbox.confinement import Outcome
from tests.agents.memory import NOW

PRESETS = {name: preset for name in DOOR.built_in if (preset := DOOR.find(name)) is not None}

CUT_OFF = RejectCode.OUTPUT_TRUNCATED
REFUSED = RejectCode.AGENT_REFUSED


def read(
    preset: str,
    *lines: Any,
    stderr: bytes = b"",
    status: int = 0,
    file: tuple[Any, ...] = (),
) -> Report:
    """What a preset makes of a tool that printed these documents, or this text, one a line."""
    return PRESETS[preset].read(ToolOutput(_lines(lines), stderr, status, _lines(file)))


def _lines(values: tuple[Any, ...]) -> bytes:
    return b"".join(
        (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n"
        for value in values
    )


# ------------------------------------------------------------------------------------- the table


def test_a_preset_is_found_by_its_own_name() -> None:
    assert {name: preset.name for name, preset in PRESETS.items()} == {
        name: name for name in DOOR.built_in
    }
    assert len(PRESETS) == 6


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_suggests_is_a_valid_swarm_entry(name: str) -> None:
    preset = PRESETS[name]
    check_names("coder", preset.keys)
    swarm = {
        "schema_version": "0.3.0",
        "agents": {
            "coder": {
                "adapter": "worktree",
                "preset": name,
                "env": list(preset.keys),
                "hosts": list(preset.hosts),
            }
        },
        "kinds": {},
    }
    check_swarm(Contracts({SWARM: canonical.encode(swarm)}))
    assert preset.hosts
    assert preset.keys
    assert preset.install.startswith(("npm install -g ", "pipx install "))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_its_home_and_the_model_where_the_tool_wants_them(name: str) -> None:
    preset = PRESETS[name]
    line = preset.arguments("some-model", ["--more"], Path("/private"))
    assert line[line.index("some-model") - 1] == preset.model_flag
    assert line[line.index("some-model") + 1] == "--more"
    assert not any("{" in word for word in (*line, *preset.environment(Path("/private")).values()))
    assert "some-model" not in preset.arguments(None, [], Path("/private"))


def test_codex_reads_its_prompt_from_standard_input_by_its_last_argument() -> None:
    assert PRESETS["codex"].arguments("m", ["--more"], Path("/x"))[-1] == "-"


# ----------------------------------------------------------------------------------- claude-code

CLAUDE: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "api_error_status": None,
    "num_turns": 2,
    "result": "hello.txt is written.",
    "stop_reason": "end_turn",
    "total_cost_usd": 0.0023250000000000002,
    "usage": {"input_tokens": 240, "cache_read_input_tokens": 0, "output_tokens": 14},
    "modelUsage": {
        "claude-small": {"inputTokens": 120, "outputTokens": 7, "cacheReadInputTokens": 0},
        "claude-large[1m]": {
            "inputTokens": 240,
            "outputTokens": 14,
            "cacheReadInputTokens": 1000,
            "cacheCreationInputTokens": 50,
        },
    },
    "permission_denials": [],
    "terminal_reason": "completed",
}


def test_claude_code_reports_its_words_all_models_tokens_and_the_cost() -> None:
    report = read("claude-code", CLAUDE)
    assert report == Report(
        "hello.txt is written.",
        model="claude-large[1m]",
        usage={
            "input_tokens": 1410,
            "output_tokens": 21,
            "cached_input_tokens": 1000,
            "cost_microdollars": 2325,
        },
    )


@pytest.mark.parametrize(
    ("changes", "code", "failure", "denied"),
    [
        ({"subtype": "error_max_turns"}, CUT_OFF, "stopped at its limit of turns", False),
        ({"subtype": "error_max_budget_usd"}, CUT_OFF, "stopped at its limit of cost", False),
        ({"stop_reason": "refusal"}, REFUSED, "refused to go on", False),
        (
            {"result": "API Error: Claude's response exceeded the 64000 output token maximum."},
            CUT_OFF,
            "was cut off at its limit of output tokens",
            False,
        ),
        (
            {"result": "API Error: 529 overloaded", "api_error_status": 529},
            RejectCode.AGENT_FAILED,
            "ended with an error: API Error: 529 overloaded",
            False,
        ),
        (
            {"result": "Failed to authenticate.", "api_error_status": 401},
            RejectCode.AGENT_FAILED,
            "ended with an error: Failed to authenticate.",
            True,
        ),
        (
            {"subtype": "error_during_execution", "result": None, "errors": ["it broke"]},
            RejectCode.AGENT_FAILED,
            "ended with an error: it broke",
            False,
        ),
    ],
)
def test_claude_code_that_says_success_may_have_failed_all_the_same(
    changes: dict[str, Any], code: RejectCode, failure: str, denied: bool
) -> None:
    report = read("claude-code", {**CLAUDE, "is_error": True, **changes}, status=1)
    assert (report.code, report.failure, report.denied) == (code, failure, denied)
    assert report.usage["cost_microdollars"] == 2325


def test_claude_code_without_its_result_has_no_words() -> None:
    without = {name: value for name, value in CLAUDE.items() if name != "result"}
    assert read("claude-code", without).words is None
    assert read("claude-code", b"Execution error").words is None


# ----------------------------------------------------------------------------------------- codex


def codex(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


SAID = codex("item.completed", item={"id": "item_2", "type": "agent_message", "text": "Written."})
COMMAND = codex("item.completed", item={"type": "command_execution", "exit_code": 0})
NOTE = codex("item.completed", item={"type": "error", "message": "metadata not found"})
COMPLETED = codex(
    "turn.completed",
    usage={"input_tokens": 240, "cached_input_tokens": 40, "output_tokens": 14},
)


def test_codex_reports_its_last_message_once_the_turn_is_completed() -> None:
    report = read("codex", codex("thread.started"), NOTE, COMMAND, SAID, COMPLETED)
    assert report.words == "Written."
    assert report.usage == {"input_tokens": 240, "output_tokens": 14, "cached_input_tokens": 40}


def test_codex_whose_turn_was_not_completed_has_no_words() -> None:
    assert read("codex", SAID).words is None
    assert read("codex", COMPLETED).words is None


@pytest.mark.parametrize(
    ("message", "code", "denied"),
    [
        ("Incomplete response returned, reason: max_output_tokens", CUT_OFF, False),
        ("stream disconnected: Incomplete response, reason: content_filter", REFUSED, False),
        ("unexpected status 401 Unauthorized: no", RejectCode.AGENT_FAILED, True),
        ("You have hit your usage limit.", RejectCode.AGENT_FAILED, False),
    ],
)
def test_codex_says_why_a_turn_failed(message: str, code: RejectCode, denied: bool) -> None:
    failed = codex("turn.failed", error={"message": message})
    report = read("codex", SAID, codex("error", message=message), failed, status=1)
    assert (report.code, report.denied) == (code, denied)
    assert report.failure is not None


# ---------------------------------------------------------------------------------------- gemini

TOKENS = {"prompt": 240, "candidates": 14, "thoughts": 6, "cached": 40, "total": 260}
GEMINI = {
    "session_id": "b1e864c0",
    "response": "Written.",
    "stats": {"models": {"gemini-pro": {"tokens": TOKENS}}},
}


def test_gemini_reports_its_response_and_thoughts_count_as_output() -> None:
    assert read("gemini", json.dumps(GEMINI, indent=2).encode()) == Report(
        "Written.",
        model="gemini-pro",
        usage={"input_tokens": 240, "output_tokens": 20, "cached_input_tokens": 40},
    )


@pytest.mark.parametrize(("number", "status", "denied"), [(401, 145, True), (500, 244, False)])
def test_gemini_reports_an_error_at_the_end_of_standard_error(
    number: int, status: int, denied: bool
) -> None:
    error = {"session_id": "x", "error": {"type": "Error", "message": "no", "code": number}}
    stderr = b"YOLO mode is enabled.\n    at a (b:1:2) {\n  status: 401\n}\n"
    stderr += json.dumps(error, indent=2).encode() + b"\n"
    report = read("gemini", stderr=stderr, status=status)
    assert (report.failure, report.denied) == ("ended with an error: no", denied)


def test_gemini_at_its_limit_of_turns_was_cut_off() -> None:
    assert read("gemini", stderr=b"", status=53).code == CUT_OFF


def test_gemini_without_its_response_has_no_words() -> None:
    assert read("gemini", {"stats": {}}).words is None
    assert read("gemini", status=1, stderr=b"crash").words is None


# -------------------------------------------------------------------------------------- opencode


def opencode(kind: str, **part: Any) -> dict[str, Any]:
    return {"type": kind, "sessionID": "ses_1", "part": part}


def finished(reason: str, cost: float = 0) -> dict[str, Any]:
    used = {"input": 120, "output": 7, "reasoning": 2, "cache": {"read": 30, "write": 5}}
    return opencode("step_finish", reason=reason, tokens=used, cost=cost)


def test_opencode_reports_the_words_of_its_last_step_and_what_all_steps_took() -> None:
    report = read(
        "opencode",
        opencode("step_start"),
        opencode("text", text="I begin."),
        finished("tool-calls", 0.25),
        opencode("step_start"),
        opencode("text", text="Writ"),
        opencode("text", text="ten."),
        finished("stop", 0.000001),
    )
    assert report == Report(
        "Written.",
        usage={
            "input_tokens": 310,
            "output_tokens": 18,
            "cached_input_tokens": 60,
            "cost_microdollars": 250_001,
        },
    )


def test_a_cost_of_nothing_is_a_price_that_opencode_does_not_know() -> None:
    assert "cost_microdollars" not in read("opencode", finished("stop")).usage


@pytest.mark.parametrize(("reason", "code"), [("length", CUT_OFF), ("content-filter", REFUSED)])
def test_opencode_says_why_it_stopped_even_where_it_leaves_with_success(
    reason: str, code: RejectCode
) -> None:
    report = read("opencode", opencode("text", text="Wri"), finished(reason))
    assert report.code == code
    assert report.failure is not None


def test_opencode_reports_an_error_of_its_service() -> None:
    error = {"name": "APIError", "data": {"message": "no", "statusCode": 401}}
    report = read("opencode", {"type": "error", "error": error}, status=1)
    assert (report.failure, report.denied) == ("ended with an error: no", True)


def test_opencode_that_ends_after_a_tool_call_has_no_words() -> None:
    assert read("opencode", opencode("text", text="I begin."), finished("tool-calls")).words is None


# --------------------------------------------------------------------------------------- copilot


def copilot(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data, "id": "1"}


def span(reason: str) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": "gpt-x",
        "gen_ai.response.finish_reasons": [reason],
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 7,
        "github.copilot.cost": 1.0,
    }
    return {"type": "span", "name": "chat gpt-x", "attributes": attributes}


TOOL_SPAN = {"type": "span", "attributes": {"gen_ai.operation.name": "execute_tool"}}
ENDED = {"type": "result", "exitCode": 0, "usage": {"premiumRequests": 1}}


def test_copilot_reports_its_last_message_and_measures_its_calls_in_a_file() -> None:
    report = read(
        "copilot",
        copilot("assistant.message", content=""),
        copilot("assistant.message", content="Written."),
        ENDED,
        file=(span("tool_calls"), TOOL_SPAN, span("stop")),
    )
    assert report == Report(
        "Written.", model="gpt-x", usage={"input_tokens": 240, "output_tokens": 14}
    )


@pytest.mark.parametrize(("reason", "code"), [("length", CUT_OFF), ("content_filter", REFUSED)])
def test_copilot_that_leaves_with_success_may_have_been_stopped(
    reason: str, code: RejectCode
) -> None:
    said = copilot("assistant.message", content="Written.")
    assert read("copilot", said, ENDED, file=(span(reason),)).code == code


def test_copilot_without_its_result_has_no_words() -> None:
    assert read("copilot", copilot("assistant.message", content="Written.")).words is None


def test_copilot_reports_an_error_of_its_service() -> None:
    error = copilot("session.error", errorType="authentication", message="failed", statusCode=401)
    report = read("copilot", error, {**ENDED, "exitCode": 1}, status=1)
    assert (report.failure, report.denied) == ("ended with an error: failed", True)


# ----------------------------------------------------------------------------------------- aider

PRINTED = b"""\
Aider v0.86.2
Git repo: .git with 1 files
Repo-map: using 1024 tokens, auto refresh

Written.

Tokens: 120 sent, 7 received.

hello.txt
Applied edit to hello.txt"""


def sent(cost: float = 0.0, model: str = "openai/gpt-x") -> dict[str, Any]:
    properties = {
        "main_model": model,
        "prompt_tokens": 120,
        "completion_tokens": 7,
        "cost": cost,
    }
    return {"event": "message_send", "properties": properties}


def test_aider_reports_in_its_own_log_and_in_prose() -> None:
    report = read("aider", PRINTED, file=({"event": "launched"}, sent(0.0123)))
    assert report.words == "Written.\n\n\nhello.txt\nApplied edit to hello.txt"
    assert report.model == "openai/gpt-x"
    assert report.usage == {
        "input_tokens": 120,
        "output_tokens": 7,
        "cost_microdollars": 12_300,
    }


def test_aider_hides_models_that_it_does_not_know() -> None:
    assert read("aider", PRINTED, file=(sent(model="openai/REDACTED"),)).model is None


def test_aider_without_an_answer_in_its_log_has_no_words() -> None:
    assert read("aider", PRINTED, file=({"event": "exit"},)) == Report()


def test_aider_says_in_prose_that_it_was_cut_off_or_refused() -> None:
    assert read("aider", b"Model m has hit a token limit!").code == CUT_OFF
    denied = read("aider", b"litellm.AuthenticationError: no")
    assert (denied.failure, denied.denied) == ("was refused by its service", True)


# ------------------------------------------------------------------------------- whatever it says

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from(
    [
        *("type", "result", "subtype", "modelUsage", "usage", "item", "part", "data", "error"),
        *("tokens", "cost", "stats", "models", "attributes", "event", "properties", "reason"),
    ]
)
kinds = st.sampled_from(
    [
        *("result", "item.completed", "turn.completed", "turn.failed", "step_finish", "text"),
        *("error", "assistant.message", "session.error", "span", "message_send"),
    ]
)
documents = st.dictionaries(names, json_values | st.dictionaries(names, json_values)).flatmap(
    lambda document: kinds.map(lambda kind: {**document, "type": kind, "event": kind})
)


@pytest.mark.parametrize("name", PRESETS)
@given(
    lines=st.lists(documents | json_values, max_size=4),
    raw=st.binary(max_size=60),
    status=st.integers(-9, 255),
)
def test_no_report_raises_or_counts_what_is_no_number(
    name: str, lines: list[Any], raw: bytes, status: int
) -> None:
    text = _lines(tuple(lines)) + raw
    for said in (ToolOutput(text, raw, status, text), ToolOutput(raw, text, status, raw)):
        report = PRESETS[name].read(said)
        assert report.words is None or isinstance(report.words, str)
        assert report.model is None or isinstance(report.model, str)
        for value in report.usage.values():
            assert type(value) is int
            assert 0 <= value <= MAX_INTEGER


@pytest.mark.parametrize(
    ("value", "amount"),
    [(0, 0), (3, 3_000_000), (-1, 0), (True, 0), ("1", 0), (None, 0), (10**400, 0)],
)
def test_dollars_become_whole_micro_dollars(value: Any, amount: int) -> None:
    assert microdollars(value) == amount


def test_a_number_that_no_decimal_holds_is_no_document() -> None:
    for exponent in ("9" * 30, "-" + "9" * 30):
        assert document(b'{"cost": 1e%s}' % exponent.encode()) is None


def test_what_is_no_number_of_tokens_counts_as_none() -> None:
    assert [count(value) for value in (7, -7, True, "7", None, 10**40)] == [7, 0, 0, 0, 0, 0]


# ------------------------------------------------------------------------------------- the guide

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "coding-agents.md"


def test_every_entry_of_the_guide_can_be_used_as_it_stands() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    agents = decode_yaml(text.split("```yaml\n")[1].split("```")[0].encode(), "the guide")["agents"]
    swarm = {"schema_version": "0.3.0", "agents": agents, "kinds": {}}
    check_swarm(Contracts({SWARM: canonical.encode(swarm)}))
    presets = {entry["preset"]: entry for entry in agents.values() if "preset" in entry}
    assert set(presets) == set(PRESETS)
    for name, entry in presets.items():
        assert entry["hosts"] == list(PRESETS[name].hosts)
        assert set(entry["env"]) <= set(PRESETS[name].keys)


@pytest.mark.parametrize("name", ["claude-code", "gemini", "opencode", "copilot"])
def test_the_guide_shows_the_command_line_of_each_tool(name: str) -> None:
    preset = PRESETS[name]
    assert f"`{preset.program} {' '.join(preset.flags)}`" in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_the_guide_says_how_a_tool_is_installed_and_what_is_set_for_it(name: str) -> None:
    preset = PRESETS[name]
    text = GUIDE.read_text(encoding="utf-8")
    assert preset.install in text
    for variable in preset.keys[:1]:
        assert variable in text


# ------------------------------------------------------------------- services that are away


def litellm(kind: str) -> bytes:
    return PRINTED.partition(b"Written.")[0] + f"litellm.{kind}: no\nRetrying in 0.2 s\n".encode()


def gemini_error(message: str, code: Any = None, kind: str = "ApiError") -> bytes:
    error = {"error": {"type": kind, "message": message, "code": code}}
    return b"\n" + json.dumps(error, indent=2).encode()


def ended(output: bytes, stderr: bytes, status: int) -> Outcome:
    return Outcome(status, output, stderr, truncated=False, timed_out=False)


GONE: dict[str, Any] = {
    "claude-code": [
        ({**CLAUDE, "is_error": True, "result": "API Error: 529 x", "api_error_status": 529},),
        ({**CLAUDE, "is_error": True, "result": "slow down", "api_error_status": 429},),
        ({**CLAUDE, "is_error": True, "result": "Claude AI usage limit reached|1769860800"},),
        ({**CLAUDE, "is_error": True, "result": "Credit balance is too low"},),
        (b"API Error: Connection error.",),
    ],
    "codex": [
        (codex("turn.failed", error={"message": f"exceeded retry limit, last status: {number}"}),)
        for number in (429, 503)
    ]
    + [
        (codex("turn.failed", error={"message": "You've hit your usage limit. Try again later."}),),
        (codex("error", message="stream disconnected before completion: timeout"),),
    ],
    "gemini": [
        (gemini_error("no", 429), "stderr"),
        (gemini_error("You have exhausted your daily quota", None, "TerminalQuotaError"), "stderr"),
        ({"error": {"type": "Error", "message": "overloaded", "code": 503}},),
    ],
    "opencode": [
        ({"type": "error", "error": {"name": "APIError", "data": {"message": "no", **data}}},)
        for data in ({"statusCode": 429}, {"statusCode": 529}, {"message": "Unable to connect."})
    ],
    "copilot": [
        (copilot("session.error", message="no", **data),)
        for data in ({"errorType": "rate_limit"}, {"errorType": "quota"}, {"statusCode": 503})
    ],
    "aider": [
        (litellm(kind),)
        for kind in ("RateLimitError", "ServiceUnavailableError", "APIConnectionError")
    ],
}


@pytest.mark.parametrize(
    ("preset", "printed"), [(name, printed) for name in GONE for printed in GONE[name]]
)
def test_a_tool_that_says_its_service_is_away_is_heard(preset: str, printed: Any) -> None:
    document, *where = printed
    stderr = document if where else b""
    lines = () if where else (document,)
    report = read(preset, *lines, stderr=stderr, status=1)
    output = _lines(lines)
    outcome = ended(output, stderr, 1)
    assert tool_away(outcome, report, NOW) is not None
    assert not report.denied


def test_a_tool_says_by_a_header_when_to_come_back() -> None:
    data = {"message": "no", "statusCode": 429, "responseHeaders": {"retry-after": "7200"}}
    report = read("opencode", {"type": "error", "error": {"name": "APIError", "data": data}})
    gone = tool_away(ended(b"", b"", 1), report, NOW)
    assert gone is not None
    assert gone.seconds == 7200


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_model_wrote_of_rate_limits_is_no_report_of_its_service(name: str) -> None:
    words = {
        "claude-code": {**CLAUDE, "result": "API Error: 429 is handled now."},
        "codex": {**SAID, "item": {"type": "agent_message", "text": "Rate limit: 429."}},
        "gemini": {**GEMINI, "response": "Rate limit reached is handled now."},
        "opencode": opencode("text", text="Rate limit reached is handled now."),
        "copilot": copilot("assistant.message", content="Rate limit reached is handled now."),
        "aider": b"Rate limit reached is handled now.",
    }[name]
    file = (sent(),) if name == "aider" else ()
    more = {"codex": [COMPLETED], "opencode": [finished("stop")], "copilot": [ENDED]}.get(name, [])
    report = read(name, words, *more, file=file)
    assert report.words is not None
    assert tool_away(ended(_lines((words, *more)), b"", 0), report, NOW) is None


def test_tools_that_take_a_limit_of_retries_get_one() -> None:
    assert int(PRESETS["claude-code"].variables["CLAUDE_CODE_MAX_RETRIES"]) < 10
    settings = json.loads(PRESETS["gemini"].files[".gemini/settings.json"])
    assert settings["general"]["maxAttempts"] < 10
