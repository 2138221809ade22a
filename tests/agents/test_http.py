"""The http adapter against a scripted service on loopback, with real sockets."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from esaa_git.agents.adapter import AdapterContext
from esaa_git.agents.http import client
from esaa_git.agents.http.agent import DEFAULT_TRIES, HttpAgent
from esaa_git.agents.http.dialects import (
    DIALECTS,
    MESSAGES_MAX_TOKENS,
    NotInDialect,
    read_body,
    service_error,
)
from esaa_git.agents.http.prices import priced
from esaa_git.agents.http.wire import Bounds, wire_schema
from esaa_git.agents.registry import make_agent
from esaa_git.core import canonical
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.event import schema
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError, ConfigurationError
from esaa_git.ports.agent import Answer, Most, Request, Unavailable
from esaa_git.testing.contracts import contracts
from tests.agents.memory import NOW, MemoryBlobs, MemoryTrees, StillClock, no_pause
from tests.agents.views import request_for, view
from tests.support.model_server import MODEL, USAGE, ModelServer, Step, answer, fault, model_server
from tests.support.patience import patience
from tests.support.thoroughness import examples
from tests.support.wire_form import encode_wire

KEY = "sk-made-up-0123456789abcdef"
RECORDED: Any = schema("agent.result")["properties"]["payload"]["properties"]
"""What the record holds of an answer."""

KEY_ENV = "SOME_SERVICE_KEY"
NAMES = tuple(DIALECTS)
VIEW = view()
WIRE = wire_schema(VIEW)
RESULT = {
    "action": "agent.result",
    "task_id": "T-1",
    "attempt_id": "T-1-A1",
    "payload": {
        "summary": "Wrote it",
        "file_updates": [{"op": "write", "path": "docs/a.md", "content": "Schön\n"}],
        "checks": [],
        "lessons": [],
    },
}
WRITTEN = json.dumps(encode_wire(RESULT, WIRE))
GOOD = answer("chat", WRITTEN)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are over soon, no proxy of this machine, and a key."""
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(KEY_ENV, KEY)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test, no thread of a call is left."""
    before = set(threading.enumerate())
    yield
    left = [each for each in set(threading.enumerate()) - before if "asyncio" in each.name]
    assert not left


def context(
    *, max_output_bytes: int = 1 << 20, prompt: Callable[[str], bytes | None] = lambda _: None
) -> AdapterContext:
    unused: Any = None
    return AdapterContext(
        None,
        MemoryTrees({}),
        MemoryBlobs(),
        unused,
        StillClock(),
        max_output_bytes,
        "auto",
        prompt,
    )


def agent(server: ModelServer | str, dialect: str = "chat", /, **settings: Any) -> HttpAgent:
    url = server if isinstance(server, str) else server.url
    model = settings.pop("model", "some-model")
    around = settings.pop("around", None) or context()
    entry = AgentEntry("coder", "http", model, {"dialect": dialect, "url": url, **settings})
    return HttpAgent(entry, around)


def ask(
    asked: HttpAgent,
    pause: Callable[[], None] = no_pause,
    *,
    left_ms: int = 20_000,
) -> Answer:
    return asked.answer(prepared(asked, left_ms=left_ms), pause)


def prepared(asked: HttpAgent, *, left_ms: int = 20_000) -> Request:
    return asked.prepare(request_for(VIEW, left_ms=left_ms))


def unavailable(said: Answer) -> Unavailable:
    assert said.unavailable is not None, said
    return said.unavailable


def judged(said: Answer) -> Envelope | Rejected:
    assert said.failure is None, said
    return decode(said.output, max_bytes=1 << 20)


# ------------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize("dialect", NAMES)
def test_a_service_is_sent_exactly_what_was_prepared_and_its_answer_is_an_envelope(
    dialect: str,
) -> None:
    with model_server(answer(dialect, WRITTEN)) as server:
        asked = agent(server, dialect, key_env=KEY_ENV)
        asked.ready()
        request = prepared(asked)
        assert not server.received
        said = asked.answer(request, no_pause)
    [received] = server.received
    assert received.body == request.sent
    assert received.target == f"/v1/{DIALECTS[dialect].path}"
    assert said.output == canonical.encode(RESULT)
    assert isinstance(judged(said), Envelope)
    assert said.model == MODEL
    assert dict(said.usage) == USAGE
    assert said.tries == []
    assert said.latency_ms >= 0
    assert jsonschema_rs.is_valid(RECORDED["usage"], dict(said.usage))


@pytest.mark.parametrize("dialect", NAMES)
def test_the_body_holds_model_prompt_and_schema_where_the_dialect_wants_them(dialect: str) -> None:
    body = json.loads(prepared(agent("http://localhost/v1", dialect)).sent)
    assert body["model"] == "some-model"
    match dialect:
        case "chat":
            assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
            form = body["response_format"]
            assert form["type"] == "json_schema"
            assert form["json_schema"]["strict"] is True
            schema = form["json_schema"]["schema"]
        case "responses":
            assert [turn["role"] for turn in body["input"]] == ["system", "user"]
            assert body["store"] is False
            form = body["text"]["format"]
            assert form["strict"] is True
            schema = form["schema"]
        case _:
            assert "propose" in body["system"]
            assert [turn["role"] for turn in body["messages"]] == ["user"]
            assert body["max_tokens"] == MESSAGES_MAX_TOKENS
            schema = body["output_config"]["format"]["schema"]
    assert schema == WIRE
    assert "stream" not in body


@pytest.mark.parametrize("dialect", NAMES)
def test_what_is_sent_is_the_same_bytes_for_the_same_view(dialect: str) -> None:
    settings = {"extra": {"temperature": 0.2, "top_p": 1, "metadata": {"b": 1, "a": 2}}}
    first = prepared(agent("http://localhost/v1", dialect, **settings))
    assert first == prepared(agent("http://localhost/v1", dialect, **settings))
    assert first.template is not None
    assert first.template.startswith("model@")


def test_the_entry_may_name_another_template() -> None:
    pinned = {"terse": b"Only {{ task.task_id }}."}
    asked = agent("http://localhost/v1", template="terse", around=context(prompt=pinned.get))
    request = prepared(asked)
    assert json.loads(request.sent)["messages"] == [{"role": "user", "content": "Only T-1."}]
    assert str(request.template).startswith("terse@")


def test_a_template_without_a_system_part_leaves_the_field_out_of_messages() -> None:
    around = context(prompt=lambda _: b"Do it.")
    body = json.loads(prepared(agent("http://localhost/v1", "messages", around=around)).sent)
    assert "system" not in body


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("chat", "max_completion_tokens"),
        ("responses", "max_output_tokens"),
        ("messages", "max_tokens"),
    ],
)
def test_the_most_tokens_of_an_answer_go_where_the_dialect_wants_them(
    dialect: str, field: str
) -> None:
    body = json.loads(prepared(agent("http://localhost/v1", dialect, max_output_tokens=77)).sent)
    assert body[field] == 77


def test_extra_is_merged_into_the_body_and_null_takes_out_of_it() -> None:
    extra = {
        "temperature": 0.25,
        "max_completion_tokens": None,
        "max_tokens": 5,
        "response_format": {"json_schema": {"name": "answer"}},
    }
    asked = agent("http://localhost/v1", max_output_tokens=77, extra=extra)
    body = json.loads(prepared(asked).sent)
    assert (body["temperature"], body["max_tokens"]) == (0.25, 5)
    assert "max_completion_tokens" not in body
    assert body["response_format"]["json_schema"]["name"] == "answer"
    assert body["response_format"]["json_schema"]["schema"] == WIRE


def test_effort_can_be_asked_for_beside_the_schema() -> None:
    asked = agent("http://localhost/v1", "messages", extra={"output_config": {"effort": "low"}})
    config = json.loads(prepared(asked).sent)["output_config"]
    assert config["effort"] == "low"
    assert config["format"]["schema"] == WIRE


@pytest.mark.parametrize("value", [float("nan"), float("inf"), NOW, "\ud800"])
def test_an_extra_that_is_no_json_is_an_error_of_the_entry(value: object) -> None:
    with pytest.raises(ConfigurationError, match="'extra' does not fit into JSON"):
        prepared(agent("http://localhost/v1", extra={"x": value}))


def test_bounds_make_the_schema_one_for_a_small_model() -> None:
    entry = AgentEntry("small", "http", "m", {"dialect": "chat", "url": "http://localhost"})
    bounded = HttpAgent(entry, context(), bounds=Bounds(text=50))
    body = json.loads(prepared(bounded).sent)
    assert body["response_format"]["json_schema"]["schema"] == wire_schema(VIEW, Bounds(text=50))


def test_a_query_of_the_base_url_stays_behind_the_path() -> None:
    with model_server(GOOD) as server:
        ask(agent(f"{server.origin}/deployments/x/?api-version=2026-01-01"))
    assert server.received[0].target == "/deployments/x/chat/completions?api-version=2026-01-01"


def test_the_registry_makes_it_of_an_entry_as_people_write_it() -> None:
    entry = {
        "adapter": "http",
        "dialect": "messages",
        "url": "https://api.example.com/v1",
        "model": "some-model",
        "key_env": KEY_ENV,
        "timeout": "PT2M",
        "max_output_tokens": 1000,
        "max_tries": 3,
        "template": "terse",
        "extra": {"temperature": 0.5},
        "prices": {
            "input_microdollars_per_million": 1,
            "output_microdollars_per_million": 2,
            "cached_input_microdollars_per_million": 0,
        },
    }
    in_force: Contracts = contracts({("agents_swarm.yaml", "agents", "agent-spec"): entry})
    in_force.check()
    found = make_agent(in_force.swarm.agent("agent-spec"), context())
    assert isinstance(found, HttpAgent)
    assert (found.name, found.adapter, found.model) == ("agent-spec", "http", "some-model")
    assert (found.sandbox, found.has_checkout) == ("in-process", False)


# ------------------------------------------------------------------------------------ what it costs


def test_prices_of_the_entry_make_the_cost_in_micro_dollars_rounded_up() -> None:
    prices = {"input_microdollars_per_million": 1_000_000, "output_microdollars_per_million": 1}
    with model_server(GOOD) as server:
        said = ask(agent(server, prices=prices))
        assert said.usage["cost_microdollars"] == 121  # 120 tokens, and 30 at next to nothing
        assert said.usage["price_source"] == "agents_swarm.yaml"
        prices["cached_input_microdollars_per_million"] = 0
        assert ask(agent(server, prices=prices)).usage["cost_microdollars"] == 101


def test_a_request_takes_its_bytes_and_the_most_output_at_most_with_every_try() -> None:
    prices = {"input_microdollars_per_million": 2_000_000, "output_microdollars_per_million": 1}
    asked = agent("http://localhost", prices=prices, max_output_tokens=500, max_tries=3)
    sent = len(prepared(asked).sent)
    assert asked.most(prepared(asked)) == Most((2 * sent + 1) * 3, (sent + 500) * 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"prices": {"input_microdollars_per_million": 1, "output_microdollars_per_million": 1}},
        {"max_output_tokens": 5, "model": "none-such"},
        {"max_output_tokens": 5, "extra": {"n": 5}},
    ],
    ids=["no most output", "no price", "more answers than one"],
)
def test_what_a_request_takes_is_not_guessed(settings: dict[str, Any]) -> None:
    asked = agent("http://localhost", **settings)
    assert asked.most(prepared(asked)).microdollars is None


def test_a_service_of_one_s_own_has_no_cost_that_anybody_knows() -> None:
    with model_server(GOOD) as server:
        assert dict(ask(agent(server)).usage) == USAGE


def test_a_published_price_is_named_with_its_table() -> None:
    genai_prices = pytest.importorskip("genai_prices", reason="the extra 'prices' is missing")
    found = priced(USAGE, None, model="gpt-4o-mini", url="https://api.openai.com/v1", when=NOW)
    assert found["price_source"] == f"genai-prices {genai_prices.__version__}"
    assert isinstance(found["cost_microdollars"], int)
    assert found["cost_microdollars"] > 0
    most = {"input_tokens": canonical.MAX_INTEGER, "output_tokens": canonical.MAX_INTEGER}
    dear = priced(most, None, model="o1-pro", url="https://api.openai.com/v1", when=NOW)
    assert dear["cost_microdollars"] == canonical.MAX_INTEGER
    for model, url in (("none-such", "https://api.openai.com/v1"), ("gpt-4o", "http://localhost")):
        assert priced(USAGE, None, model=model, url=url, when=NOW) == USAGE


def test_without_the_table_or_the_counts_there_is_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = {"input_microdollars_per_million": 1, "output_microdollars_per_million": 1}
    assert priced({"input_tokens": 1}, prices, model="m", url="u", when=NOW) == {"input_tokens": 1}
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    url = "https://api.openai.com/v1"
    assert priced(USAGE, None, model="gpt-4o-mini", url=url, when=NOW) == USAGE


def test_counts_that_are_no_counts_are_left_out() -> None:
    body = json.loads(GOOD.body)
    for counted in (
        {"prompt_tokens": -1, "completion_tokens": True, "prompt_tokens_details": 3},
        {"prompt_tokens": 1.5, "completion_tokens": "30"},
        {"prompt_tokens": 2**60},
        [],
        None,
    ):
        step = Step(body=json.dumps({**body, "usage": counted, "model": 7}).encode())
        with model_server(step) as server:
            said = ask(agent(server))
        assert dict(said.usage) == {}
        assert said.model is None
        assert isinstance(judged(said), Envelope)


# --------------------------------------------------------------------------------- the key


@pytest.mark.parametrize("dialect", NAMES)
def test_the_key_travels_in_a_header_and_nowhere_else(dialect: str) -> None:
    with model_server(answer(dialect, WRITTEN)) as server:
        asked = agent(server, dialect, key_env=KEY_ENV)
        request = prepared(asked)
        said = asked.answer(request, no_pause)
    headers = server.received[0].headers
    if dialect == "messages":
        assert headers["x-api-key"] == KEY
        assert headers["anthropic-version"] == "2023-06-01"
    else:
        assert headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(request) + repr(said) + repr(asked.__dict__)


def test_without_a_variable_no_key_is_sent() -> None:
    with model_server(GOOD) as server:
        ask(agent(server))
    assert not {"authorization", "x-api-key"} & server.received[0].headers.keys()


ECHO = f"your key {KEY} is wrong: " + "x" * 270 + KEY
"""Names the key once whole, and once where the message is cut off."""


@pytest.mark.parametrize(
    "step",
    [
        fault(400, ECHO),
        fault(401, ECHO),
        fault(403, ECHO),
        fault(404, ECHO, KEY),
        fault(429, ECHO, "insufficient_quota"),
        fault(503, ECHO),
        Step(400, ECHO.encode()),
        Step(500, f'{{"detail": "{KEY}"}}'.encode()),
        Step(302, b"", {"Location": f"https://u:{KEY}@elsewhere.example/{KEY}?k={KEY}"}),
        Step(200, ECHO.encode()),
        Step(200, json.dumps({"error": {"message": ECHO}}).encode()),
        answer("chat", ECHO),
        answer("chat", ECHO, end="length"),
        answer("chat", "", refusal=ECHO),
        Step(200, GOOD.body.replace(MODEL.encode(), KEY.encode())),
    ],
    ids=lambda step: f"{step.status}-{step.body[:20]!r}",
)
def test_a_key_that_a_service_sends_back_is_neither_recorded_nor_shown(step: Step) -> None:
    with model_server(step) as server:
        asked = agent(server, key_env=KEY_ENV, max_tries=2)
        try:
            said: object = ask(asked)
        except AgentError as error:
            said = (error.message, error.cause, error.hint)
    assert KEY[:10] not in repr(said)
    assert "***" in repr(said) or step.status == 429


def test_a_short_word_for_a_key_is_left_in_what_a_model_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY_ENV, "docs")
    with model_server(GOOD) as server:
        assert isinstance(judged(ask(agent(server, key_env=KEY_ENV))), Envelope)


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "line\nline", "schlüssel"])
def test_without_a_usable_key_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(KEY_ENV)
    else:
        monkeypatch.setenv(KEY_ENV, value)
    with model_server(GOOD) as server:
        asked = agent(server, key_env=KEY_ENV)
        with pytest.raises(AgentError, match=rf"agent 'coder': \${KEY_ENV}") as caught:
            asked.ready()
        assert f"export {KEY_ENV}=" in str(caught.value.hint)
        with pytest.raises(AgentError):
            ask(asked)
    assert not server.received


# ---------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 529])
def test_a_passing_failure_is_tried_again_and_recorded(status: int) -> None:
    with model_server(fault(status, "too busy"), GOOD) as server:
        said = ask(agent(server))
    assert isinstance(judged(said), Envelope)
    assert len(server.received) == 2
    assert server.received[0] == server.received[1]
    [failed] = said.tries
    assert (failed["status"], failed["reason"]) == (status, f"status {status}: too busy")
    assert jsonschema_rs.is_valid(RECORDED["tries"], said.tries)
    assert failed["waited_ms"] >= 0


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(how="hangup"), "the connection broke"),
        (Step(body=b'{"choices": [', how="cut"), "the connection broke"),
        (Step(body=b"not gzip", headers={"Content-Encoding": "gzip"}), "the connection broke"),
    ],
    ids=["reset", "incomplete", "bad-gzip"],
)
def test_a_broken_connection_is_tried_again(step: Step, reason: str) -> None:
    with model_server(step, GOOD) as server:
        said = ask(agent(server))
    assert isinstance(judged(said), Envelope)
    [failed] = said.tries
    assert failed["status"] == 0
    assert failed["reason"].startswith(reason)


@pytest.mark.parametrize("how", ["silent", "drip"])
def test_a_try_that_takes_too_long_is_given_up_and_made_again(how: str) -> None:
    with model_server(Step(how=how), GOOD) as server:
        said = ask(agent(server, timeout=300))
        assert server.gone.wait(patience(10))
    assert isinstance(judged(said), Envelope)
    assert said.tries[0]["reason"] == "no answer within 300 ms"


def test_tries_end_at_their_number() -> None:
    with model_server(fault(503, "too busy")) as server:
        said = ask(agent(server))
        assert len(server.received) == DEFAULT_TRIES
        assert said.failure == "gave no answer: status 503: too busy (5 tries)"
        assert unavailable(said).reason.endswith("': status 503: too busy (5 tries)")
        assert said.detail == {"status": 503}
        assert [failed["waited_ms"] > 0 for failed in said.tries] == [True] * 4 + [False]
        server.received.clear()
        assert len(ask(agent(server, max_tries=1)).tries) == 1
        assert len(server.received) == 1


def test_the_last_of_several_timeouts_is_one() -> None:
    with model_server(Step(how="silent")) as server:
        said = ask(agent(server, timeout=50, max_tries=2))
    assert said.code == RejectCode.AGENT_TIMEOUT
    assert said.failure == "gave no answer: no answer within 50 ms (2 tries)"


def test_an_error_after_a_passing_failure_is_the_one_that_counts() -> None:
    with model_server(fault(503, "too busy"), fault(400, "no such field")) as server:
        said = ask(agent(server))
    assert said.failure == "the service refused the request: status 400: no such field"
    assert len(said.tries) == 1


@pytest.mark.parametrize(
    "said", ["0", format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)]
)
def test_a_service_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 1000.0)
    with model_server(fault(429, "slowly", Retry_After=said), GOOD) as server:
        found = ask(agent(server))
    assert [failed["waited_ms"] for failed in found.tries] == [0]


def test_retry_after_is_a_number_of_seconds_or_a_date_or_nothing() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for said, least, most in (("7", 7, 7), (" 12 ", 12, 12), (later, 3500, 3600)):
        found = client._retry_after({"retry-after": said})
        assert found is not None
        assert least <= found <= most
    nines = "9" * 20
    for said in (
        *("", "soon", "-1", "1.5", "٣", "Xyz, 99 Foo 2026"),
        *(f"Mon, 01 Jan {nines} 00:00:00 GMT", f"Mon, 01 Jan 2026 00:00:00 +{nines}"),
        *(f"Mon, 01 Jan 2026 00:00:{nines} GMT", f"Mon, 01 Jan {'9' * 5000} 00:00:00 GMT"),
    ):
        assert client._retry_after({"retry-after": said}) is None
    assert client._retry_after({}) is None


def test_waits_grow_and_are_never_the_same_for_two_callers() -> None:
    for number, most in ((1, 0.01), (3, 0.04)):
        waits = {client._wait(number) for _ in range(50)}
        assert len(waits) > 1
        assert all(most / 2 <= seconds <= most for seconds in waits)
    assert client._wait(200) <= client.LONGEST_WAIT_SECONDS


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("61", 61),
        ("86400", 86400),
        (format_datetime(datetime.now(UTC) + timedelta(days=3), usegmt=True), 3 * 86400),
    ],
    ids=["a-minute", "a-day", "a-date"],
)
def test_who_is_told_to_come_back_later_says_when_and_does_not_wait(
    said: str, seconds: float
) -> None:
    with model_server(fault(429, "slowly", Retry_After=said), GOOD) as server:
        found = ask(agent(server))
    assert len(server.received) == 1
    assert found.code == RejectCode.AGENT_FAILED
    away = unavailable(found)
    assert "status 429: slowly" in away.reason
    assert away.seconds is not None
    assert seconds - 900 <= away.seconds <= seconds


def test_no_try_begins_late_in_the_time_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 1000.0)
    with model_server(fault(503, "too busy"), GOOD) as server:
        found = ask(agent(server))
    assert len(server.received) == 1
    assert unavailable(found).seconds is None


AWAY: Any = [
    {"error": {"type": "overloaded_error", "message": "Overloaded"}, "type": "error"},
    {"error": {"code": 502, "message": "Provider returned error"}},
    {"error": {"code": "429", "message": "slow down"}},
    {"error": "the server is busy, rate limit reached"},
    [{"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}],
    {"choices": [{"error": {"code": 503, "message": "gone"}, "finish_reason": "error"}]},
]


@pytest.mark.parametrize("body", AWAY, ids=range(len(AWAY)))
@pytest.mark.parametrize("streamed", [False, True])
def test_an_overload_that_is_told_in_a_good_status_is_one(body: Any, streamed: bool) -> None:
    data = json.dumps(body).encode()
    if streamed and isinstance(body, dict):
        data = b": keep-alive\n\nevent: error\ndata: " + data + b"\n\n"
    with model_server(Step(200, data)) as server:
        assert unavailable(ask(agent(server))).reason


def test_a_page_of_a_proxy_that_tells_of_an_outage_is_one() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head></html>"
    with model_server(Step(200, page)) as server:
        unavailable(ask(agent(server)))
    with model_server(Step(200, b"<html>Welcome</html>")) as server:
        said = ask(agent(server))
    assert (said.code, said.unavailable) == (RejectCode.AGENT_FAILED, None)


def test_a_response_that_failed_is_told_by_its_error() -> None:
    error = {"code": "server_error", "message": "The model failed to generate a response."}
    body = {"status": "failed", "error": error, "output": []}
    with model_server(Step(200, json.dumps(body).encode())) as server:
        unavailable(ask(agent(server, "responses")))


def test_a_key_that_is_refused_in_a_good_status_is_refused() -> None:
    body = {"type": "error", "error": {"type": "authentication_error", "message": "invalid"}}
    step = Step(200, json.dumps(body).encode())
    with model_server(step) as server, pytest.raises(AgentError, match="refuses the key"):
        ask(agent(server, "messages", key_env=KEY_ENV))


@pytest.mark.parametrize(
    ("step", "seconds", "needs_person"),
    [
        (fault(402, "pay"), None, True),
        (fault(429, "pay", "insufficient_quota"), None, True),
        (fault(400, "Your credit balance is too low to access the API"), None, True),
        (fault(429, "You exceeded your current quota. Please retry in 38.5s."), 38.5, False),
        (fault(403, "rate limit exceeded for this key"), None, False),
    ],
    ids=["402", "quota", "credit", "free-tier", "403"],
)
def test_a_quota_that_is_spent_is_nobodys_failed_attempt(
    step: Step, seconds: float | None, needs_person: bool
) -> None:
    with model_server(step) as server:
        away = unavailable(ask(agent(server, key_env=KEY_ENV, max_tries=1)))
    assert (away.seconds, away.needs_person) == (seconds, needs_person)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fault(400, "API key not valid. Please pass a valid API key."), "refuses the key"),
        (fault(400, "the model `gpt-9` does not exist"), "knows no such address or model"),
        (fault(404, "nothing", "model_not_found"), "knows no such address or model"),
    ],
)
def test_a_wrong_key_or_model_is_one_whatever_the_status(step: Step, message: str) -> None:
    with model_server(step) as server, pytest.raises(AgentError, match=message):
        ask(agent(server, key_env=KEY_ENV))


# ----------------------------------------------------------------------------- the end of patience


def test_a_deadline_ends_a_call_that_takes_for_ever() -> None:
    for how in ("silent", "drip"):
        with model_server(Step(how=how)) as server:
            said = ask(agent(server), left_ms=200)
            assert server.gone.wait(patience(10))
        assert said.code == RejectCode.AGENT_TIMEOUT
        assert str(said.failure).startswith("did not answer before its deadline")


def test_after_the_deadline_nothing_is_asked() -> None:
    with model_server(GOOD) as server:
        said = ask(agent(server), left_ms=0)
    assert not server.received
    assert said.code == RejectCode.AGENT_TIMEOUT
    assert said.failure == "did not answer before its deadline 2026-01-31T09:00:00.000Z"


class Stop(BaseException):
    """What an interrupt raises."""


@pytest.mark.parametrize("how", ["silent", "drip"])
def test_what_pause_raises_ends_the_call_and_closes_the_connection(how: str) -> None:
    with model_server(Step(how=how)) as server:

        def pause() -> None:
            if server.asked.is_set():
                raise Stop

        with pytest.raises(Stop):
            ask(agent(server), pause)
        assert server.gone.wait(patience(10))
    assert len(server.received) == 1


def test_an_interrupt_of_the_main_thread_closes_the_connection() -> None:
    with model_server(Step(how="silent")) as server:

        def interrupt() -> None:
            assert server.asked.wait(patience(10))
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            ask(agent(server))
        thread.join()
        assert server.gone.wait(patience(10))


def test_what_pause_raises_ends_the_wait_for_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 1000.0)
    with model_server(fault(503, "busy")) as server:
        calls = iter(range(1000))

        def pause() -> None:
            if server.asked.is_set() and next(calls) > 5:
                raise Stop

        with pytest.raises(Stop):
            ask(agent(server), pause, left_ms=10_000_000)
    assert len(server.received) == 1


def test_pause_is_called_again_and_again_while_a_service_thinks() -> None:
    with model_server(Step(GOOD.status, GOOD.body, how="held")) as server:
        calls = 0

        def pause() -> None:
            nonlocal calls
            calls += 1
            if calls == 10:
                server.release.set()

        assert isinstance(judged(ask(agent(server), pause)), Envelope)
    assert calls >= 10


def test_several_attempts_are_asked_at_once_each_in_its_own_thread() -> None:
    with model_server(Step(GOOD.status, GOOD.body, how="held")) as server:

        def pause() -> None:
            if len(server.received) == 4:
                server.release.set()

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask, agent(server), pause) for _ in range(4)]
            assert all(isinstance(judged(each.result()), Envelope) for each in asked)


# --------------------------------------------------------------------------- what cannot be asked


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        (fault(401, "bad key"), "refuses the key (status 401)", f"${KEY_ENV}"),
        (fault(403, "not you"), "refuses access (status 403)", f"${KEY_ENV}"),
        (fault(404, "no model"), "knows no such address or model (status 404)", "'model'"),
        (Step(401, b""), "refuses the key (status 401)", f"${KEY_ENV}"),
    ],
    ids=["401", "403", "404", "empty"],
)
def test_no_attempt_is_spent_where_entry_or_key_are_wrong(
    step: Step, message: str, hint: str
) -> None:
    with model_server(step) as server:
        with pytest.raises(AgentError) as caught:
            ask(agent(server, key_env=KEY_ENV))
        host = server.origin.removeprefix("http://")
    assert caught.value.message == f"agent 'coder': '{host}' {message}"
    assert caught.value.cause == (
        json.loads(step.body)["error"]["message"] if step.body else ("it gives no reason")
    )
    assert hint in str(caught.value.hint)
    assert len(server.received) == 1


def test_a_service_that_wants_a_key_where_none_is_named_has_a_hint_of_its_own() -> None:
    with model_server(fault(401, "key?")) as server, pytest.raises(AgentError) as caught:
        ask(agent(server))
    assert "'key_env'" in str(caught.value.hint)


@pytest.mark.parametrize("status", [400, 409, 413, 422, 501])
def test_a_request_that_a_service_refuses_is_a_rejection_with_its_words(status: int) -> None:
    with model_server(fault(status, "response_format: not\nsupported")) as server:
        said = ask(agent(server))
    assert len(server.received) == 1
    assert said.code == RejectCode.AGENT_FAILED
    assert said.failure == (
        f"the service refused the request: status {status}: response_format: not\\nsupported"
    )
    assert said.detail == {"status": status}


def test_what_a_service_says_is_shortened() -> None:
    for step in (fault(400, "x" * 9999), Step(400, b"y" * 9999), fault(400, "z" * 400, "c" * 999)):
        with model_server(step) as server:
            assert len(str(ask(agent(server)).failure)) < 450


def test_a_service_that_is_not_there_costs_no_attempt() -> None:
    with model_server(GOOD) as server:
        url = server.url
    away = unavailable(ask(agent(url, max_tries=3)))
    assert "cannot be reached: no connection: " in away.reason
    assert away.reason.endswith("(3 tries)")
    assert away.hint is not None
    assert "'url'" in away.hint


def test_a_redirection_is_not_followed() -> None:
    with model_server(GOOD) as elsewhere:
        for status in (301, 302, 307, 308):
            step = Step(status, b"", {"Location": f"{elsewhere.url}/chat/completions?a=b"})
            with model_server(step) as server, pytest.raises(AgentError) as caught:
                ask(agent(server, key_env=KEY_ENV))
            assert "sends us elsewhere" in caught.value.message
            assert caught.value.cause == f"to '{elsewhere.url}/chat/completions'"
    assert not elsewhere.received


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://example.com",
        "https://",
        "https://h:port/v1",
        "https://[::1",
        "/v1",
    ],
)
def test_an_address_that_is_none_is_named_before_an_attempt_begins(url: str) -> None:
    with pytest.raises(AgentError, match="its 'url' is no address of a service"):
        agent(url).ready()


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(AgentError, match="holds a user's name or a password") as caught:
        agent(f"https://me:{KEY}@api.example.com/v1").ready()
    shown = (caught.value.message, caught.value.cause, caught.value.hint)
    assert KEY not in repr(shown)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "esaa_git.agents.http.client")
    import esaa_git.agents.http as package

    monkeypatch.delattr(package, "client")
    with pytest.raises(AgentError, match="'httpx2' is missing") as caught:
        agent("http://localhost/v1").ready()
    assert "esaa-git[http]" in str(caught.value.hint)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_nobody_vouches_for_is_not_tried_twice(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    with model_server(GOOD, tls=tls) as server, pytest.raises(AgentError) as caught:
        ask(agent(server, key_env=KEY_ENV))
    assert "cannot be asked" in caught.value.message
    assert "certificate" in str(caught.value.cause)
    assert not server.received


# ------------------------------------------------------------------------------------- proxies


def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with model_server(GOOD) as server:
        assert isinstance(judged(ask(agent(server))), Envelope)
    for url in (
        "http://localhost/v1",
        "http://a.localhost",
        "http://127.8.9.1:80",
        "http://[::1]/",
    ):
        assert client.is_loopback(url)
    for url in ("http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com"):
        assert not client.is_loopback(url)


def test_others_are_reached_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with model_server(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        said = ask(agent("http://models.example.invalid/v1"))
    assert isinstance(judged(said), Envelope)
    assert proxy.received[0].target == "http://models.example.invalid/v1/chat/completions"


# ---------------------------------------------------------------------- what is no answer


ENDS = {
    "chat": ("length", "content_filter"),
    "responses": ("max_output_tokens", "content_filter"),
    "messages": ("max_tokens", "refusal"),
}


@pytest.mark.parametrize("dialect", NAMES)
def test_an_answer_that_was_cut_off_is_said_to_be(dialect: str) -> None:
    with model_server(answer(dialect, WRITTEN[:30], end=ENDS[dialect][0])) as server:
        said = ask(agent(server, dialect))
    assert said.code == RejectCode.OUTPUT_TRUNCATED
    assert said.failure == "the answer was cut off after 30 tokens"
    assert said.output == WRITTEN[:30].encode()
    assert said.usage["output_tokens"] == 30
    assert said.model == MODEL


def test_a_full_context_cuts_off_as_well() -> None:
    with model_server(answer("messages", "{", end="model_context_window_exceeded")) as server:
        assert ask(agent(server, "messages")).code == RejectCode.OUTPUT_TRUNCATED


@pytest.mark.parametrize("dialect", NAMES)
def test_a_refusal_is_one_whoever_refuses(dialect: str) -> None:
    with model_server(
        answer(dialect, "", refusal="I would rather not."),
        answer(dialect, "{", end=ENDS[dialect][1]),
    ) as server:
        first, second = ask(agent(server, dialect)), ask(agent(server, dialect))
    assert first.code == second.code == RejectCode.AGENT_REFUSED
    if dialect != "messages":
        assert first.failure == "the model declined: I would rather not."
        assert first.output == b"I would rather not."
    assert second.failure == f"the answer was withheld by the service ({ENDS[dialect][1]})"


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_answer_is_one(dialect: str, text: str) -> None:
    with model_server(answer(dialect, text)) as server:
        said = ask(agent(server, dialect))
    assert said.code == RejectCode.OUTPUT_EMPTY
    assert str(said.failure).startswith("the model answered nothing")


@pytest.mark.parametrize("dialect", NAMES)
def test_words_instead_of_json_are_left_for_the_verifier_to_name(dialect: str) -> None:
    with model_server(answer(dialect, "Sure! Here you are:")) as server:
        said = ask(agent(server, dialect))
    assert said.output == b"Sure! Here you are:"
    found = judged(said)
    assert isinstance(found, Rejected)
    assert found.code == RejectCode.INVALID_JSON


def test_half_of_a_surrogate_pair_is_left_for_the_verifier_to_name() -> None:
    with model_server(answer("chat", '{"action": "\ud800"}')) as server:
        found = judged(ask(agent(server)))
    assert isinstance(found, Rejected)
    assert found.code == RejectCode.NOT_UTF8


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"choices": [], "output": 3, "content": {}}',
        b'{"choices": [{"message": null}], "output": [{"type": "message"}], "content": "x"}',
        b'{"choices": [7], "output": [], "status": "failed", "content": null}',
        b'{"error": {"message": "it broke"}}',
        b'{"error": "it broke"}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_a_body_of_another_form_is_a_failure_of_the_agent(dialect: str, body: bytes) -> None:
    with model_server(Step(body=body)) as server:
        said = ask(agent(server, dialect))
    title = DIALECTS[dialect].title
    assert said.code == RejectCode.AGENT_FAILED
    assert str(said.failure).startswith(f"the service did not answer in the form of {title}: it")
    assert said.output == body
    assert len(server.received) == 1
    if b"broke" in body:
        assert "it broke" in str(said.failure)


WORDS = st.sampled_from(
    [
        *("choices", "message", "content", "refusal", "finish_reason", "text", "type", "usage"),
        *("output", "status", "incomplete", "incomplete_details", "reason", "stop_reason", "error"),
        *("output_text", "length", "model", "prompt_tokens", "input_tokens", "output_tokens"),
        *("cache_read_input_tokens", "prompt_tokens_details", "cached_tokens", "detail", "code"),
    ]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, min_size=1, max_size=6)
    ),
    max_leaves=25,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value with every key of it."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


@pytest.mark.parametrize("dialect", NAMES)
@settings(max_examples=examples(300), deadline=None)
@given(data=st.data())
def test_any_body_has_a_meaning_or_is_of_another_form(dialect: str, data: st.DataObject) -> None:
    value = json.loads(answer(dialect, WRITTEN).body)
    for _ in range(data.draw(st.integers(1, 3))):
        where, key = data.draw(st.sampled_from(places(value)))
        where[key] = data.draw(VALUES)
    body = json.dumps(value).encode()
    code, said = service_error(body)
    assert isinstance(code, str)
    assert said.isprintable()
    try:
        reading = read_body(DIALECTS[dialect], body)
    except NotInDialect:
        return
    assert (reading.failure is None) == (reading.code is None)
    assert reading.failure is not None or reading.text.strip()
    assert jsonschema_rs.is_valid(RECORDED["usage"], dict(reading.usage))


def test_parts_of_a_message_are_put_together() -> None:
    half = len(WRITTEN) // 2
    body = json.loads(GOOD.body)
    body["choices"][0]["message"]["content"] = [
        {"type": "text", "text": WRITTEN[:half]},
        {"type": "thinking", "text": "hm"},
        {"type": "text", "text": WRITTEN[half:]},
    ]
    with model_server(Step(body=json.dumps(body).encode())) as server:
        assert isinstance(judged(ask(agent(server))), Envelope)


def test_a_compressed_answer_is_read() -> None:
    step = Step(body=gzip.compress(GOOD.body), headers={"Content-Encoding": "gzip"})
    with model_server(step) as server:
        assert isinstance(judged(ask(agent(server))), Envelope)
    assert server.received[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_huge_answer_is_not_read_to_its_end(compressed: bool) -> None:
    most = 1000
    body = b"x" * (40 << 20)
    step = Step(body=body)
    if compressed:
        step = Step(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    with model_server(step) as server:
        said = ask(agent(server, around=context(max_output_bytes=most)))
        assert compressed or server.gone.wait(patience(10))
    assert said.truncated
    assert len(said.output) == most + 1
    found = decode(said.output, max_bytes=most)
    assert isinstance(found, Rejected)
    assert found.code == RejectCode.OUTPUT_TOO_LARGE


def test_an_envelope_beyond_the_limit_is_left_for_the_verifier_to_name() -> None:
    with model_server(answer("chat", WRITTEN)) as server:
        said = ask(agent(server, around=context(max_output_bytes=50)))
    found = decode(said.output, max_bytes=50)
    assert isinstance(found, Rejected)
    assert found.code == RejectCode.OUTPUT_TOO_LARGE


# ------------------------------------------------------------------------------------- the guide


def entries_of_the_guide() -> dict[str, Any]:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "model-endpoints.md"
    blocks = re.findall(r"```yaml\n(agents:\n.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    return {
        name: each for block in blocks for name, each in yaml.safe_load(block)["agents"].items()
    }


@pytest.mark.parametrize("name", entries_of_the_guide())
def test_every_entry_of_the_guide_can_be_used_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    entry = entries_of_the_guide()[name]
    in_force = contracts({("agents_swarm.yaml", "agents", "agent-spec"): entry})
    in_force.check()
    if "key_env" in entry:
        monkeypatch.setenv(entry["key_env"], KEY)
    found = make_agent(in_force.swarm.agent("agent-spec"), context())
    found.ready()
    sent = found.prepare(request_for(VIEW)).sent
    assert json.loads(sent)["model"] == entry["model"]
    assert entry.get("extra", {}).keys() <= json.loads(sent).keys()
