"""Any agent that speaks the Agent Client Protocol: it edits a checkout, we take the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from esaa_git.agents import outage
from esaa_git.agents.acp.pipes import Program
from esaa_git.agents.acp.turn import (
    Ask,
    LoginRequired,
    ModelRefused,
    OutOfTime,
    ProtocolFault,
    Turn,
    Unanswered,
)
from esaa_git.agents.adapter import Adapter, Limit
from esaa_git.agents.asking import asks_of_program
from esaa_git.agents.edited import MAX_SUMMARY, EditingAgent, proposed
from esaa_git.agents.environments import SetUpWorkspace, started
from esaa_git.agents.lastwords import last_line, last_lines, late
from esaa_git.agents.programs import WHERE, place_of
from esaa_git.agents.sessions import Told
from esaa_git.agents.settings import COMMAND, PROGRAM, PROMPTED
from esaa_git.core.contracts import SWARM
from esaa_git.core.events.spec import record
from esaa_git.core.printable import printable_output
from esaa_git.core.rejection import RejectCode, excerpt
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer, Request, Unavailable, Workspace
from esaa_git.sandbox import confinement

TakeTurn: TypeAlias = Callable[[Program, Ask, float, Callable[[], None]], Turn]

_STOPPED: Final[Mapping[str, tuple[str, RejectCode]]] = {
    "refusal": ("refused to go on", RejectCode.AGENT_REFUSED),
    "max_tokens": ("ran out of tokens", RejectCode.OUTPUT_TRUNCATED),
    "max_turn_requests": ("ran out of requests to its model", RejectCode.OUTPUT_TRUNCATED),
    "cancelled": ("ended its turn as cancelled", RejectCode.AGENT_TIMEOUT),
}
"""What a turn amounts to that did not come to its end; nothing of it is proposed."""


class AcpAgent(EditingAgent["Turn | Answer"]):
    """Starts a program for every attempt, speaks version 1 of the protocol with it, and proposes
    what it changed.

    The program runs confined in a throwaway checkout of the base, which is its session's folder,
    with a HOME and a TMPDIR of its own. It is asked once, with the prompt of its template, in the
    session of the attempt before where it can load one (`loadSession`). When it
    ends its turn, all its processes are ended, and what the checkout holds then that the base does
    not is the proposal; its last message is the summary.

    What it asks permission for is permitted, because the confinement is what binds it. It is
    offered neither files nor terminals of ours: it has its own, inside.

    Args:
        entry: `settings` hold `command`, and optionally `timeout` (milliseconds), `env` (names),
            `hosts`, `read`, `limits` and `template`. `model` is chosen where the agent has a
            choice of models, by its id or its name.
        context: of the attempt.
    """

    def ready(self) -> None:
        """Raise AgentError if the program, the protocol's package or a confinement is missing."""
        confinement.choose(self._context.sandbox)
        self._turn_taker()
        super().ready()

    def _work(
        self,
        request: Request,
        workspace: SetUpWorkspace,
        allowed: Limit,
        until: float,
        pause: Callable[[], None],
        session: str | None,
    ) -> Turn | Answer:
        """Return the agent's turn, or the answer that it comes to where there is none."""
        env = self._environment(request, allowed, workspace.home, workspace.tmp)
        ask = Ask(
            request.sent.decode(),
            workspace.path,
            self.model,
            [name for name in self._names if name in env],
            session,
        )
        program = self._settings["command"][0]
        try:
            with (
                self._laid() as laid,
                confinement.start(
                    self.sandbox,
                    started(laid.words, workspace),
                    rules=confinement.rules_of(
                        self._settings, place_of(workspace, laid.read), WHERE
                    ),
                    cwd=workspace.path,
                    env={**env, **workspace.variables, **laid.env},
                ) as running,
            ):
                return self._turn_taker()(running, ask, until, pause)
        except confinement.NotStarted as error:
            raise self._not_started(program, error) from error
        except LoginRequired as error:
            raise self._login_error(error) from error
        except ModelRefused as error:
            raise self._model_error(error) from error
        except OutOfTime as error:
            last = last_line(error.stderr, error.stray)
            failed = _failure(late(allowed.failure, last), RejectCode.AGENT_TIMEOUT, {}, error)
            return replace(failed, unavailable=self._away(last))
        except ProtocolFault as error:
            failed = _failure(str(error), RejectCode.AGENT_FAILED, error.detail, error)
            told = f"{error}\n{error.detail.get('error_data', '')}\n{last_lines(error.stderr)}"
            if outage.is_refused_key(told):
                raise self._refused("refused its key", error, "look at the key") from error
            if outage.is_unknown_model(told):
                raise self._refused("knows no such model", error, "correct 'model'") from error
            code = error.detail.get("error_code")
            status = code if isinstance(code, int) and 400 <= code <= 599 else None
            return replace(failed, unavailable=self._away(told, status))

    @property
    def _session_places(self) -> Sequence[str]:
        return ()  # where an agent keeps its sessions, the protocol does not say

    def _told(self, work: Turn | Answer, session: str | None) -> Told | None:
        if isinstance(work, Answer) or work.session is None:
            return None
        return Told(work.session, work.went_on, ("cost_microdollars",))

    def _judged(
        self, request: Request, workspace: Workspace, allowed: Limit, work: Turn | Answer
    ) -> Answer:
        """Return what the checkout and the agent's words amount to, once the agent has ended."""
        if isinstance(work, Answer):
            return work
        turn = work
        words = turn.words[:MAX_SUMMARY].rstrip()
        told = Answer(words.encode(), 0, model=turn.model, usage=turn.usage)
        if turn.stop_reason in _STOPPED:
            failure, code = _STOPPED[turn.stop_reason]
            detail = {"stop_reason": turn.stop_reason}
            return replace(told, failure=failure, code=code, detail=detail)
        answer = proposed(request, workspace, words, self._context.max_output_bytes)
        if answer.code == RejectCode.EMPTY_PROPOSAL and outage.is_notice(words):
            answer = replace(answer, unavailable=self._away(words))
        return replace(answer, model=turn.model, usage=turn.usage)

    def _away(self, told: str, status: int | None = None) -> Unavailable | None:
        return outage.found_in(told.strip(), self._context.clock.now(), status)

    def _refused(self, what: str, error: ProtocolFault, do: str) -> AgentError:
        return self._error(f"its service {what}", excerpt(str(error), 500), f"{do} {WHERE}")

    def _turn_taker(self) -> TakeTurn:
        try:
            # Half a second that a command without such agents need not pay.
            from esaa_git.agents.acp import session
        except ImportError as error:
            raise self._error(
                "the Agent Client Protocol needs a package that is not installed",
                str(error),
                "run 'python -m pip install \"esaa-git[acp]\"', then repeat the command",
            ) from error
        return session.take_turn

    def _login_error(self, error: LoginRequired) -> AgentError:
        ways = f" (it offers: {'; '.join(error.ways)})" if error.ways else ""
        wanted = " or ".join(error.variables) or "the variable with its key"
        return self._error(
            "it wants a login",
            f"{error}{ways}; it runs with a home of its own, where nobody is logged in",
            f"set {wanted}, and name it under 'env' in .roadmap/{SWARM}; "
            "that takes effect with the next run",
        )

    def _model_error(self, error: ModelRefused) -> AgentError:
        return self._error(
            f"it does not take the model '{self.model}'",
            f"{error}; it offers: {', '.join(error.offered[:50]) or 'none'}",
            f"correct 'model' in .roadmap/{SWARM}; it takes effect with the next run",
        )


def _failure(
    failure: str, code: RejectCode, detail: Mapping[str, Any], error: Unanswered
) -> Answer:
    found = dict(detail)
    for key, kept in {"stray_line": error.stray, "stderr": error.stderr}.items():
        if kept:
            found[key] = printable_output(kept)
    return Answer(b"", 0, failure, code, found, usage=error.usage)


ADAPTER: Final = Adapter(
    settings_schema=record({"command": COMMAND}, {**PROGRAM, **PROMPTED}),
    sandboxes=("landlock", "bubblewrap", "none"),
    make=AcpAgent,
    asks=asks_of_program,
    in_checkout=True,
)
