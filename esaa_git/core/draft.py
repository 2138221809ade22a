"""A state being changed by one event: what an event's `evolve` reads and writes.

The draft keeps the counters of `run` true and refuses what the invariants forbid whoever asks;
`seal` gives the next state. The state it started from is untouched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from esaa_git.core.accounts import OpenReservations
from esaa_git.core.entries import (
    GRANTED,
    NOTES_KEPT,
    PENDING,
    VOID,
    AcceptedLessons,
    Approval,
    Decision,
    Lesson,
    Note,
    Notes,
    Request,
    Stop,
    Undo,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.ledger import Ledger
from esaa_git.core.machine import IllegalTransition, TaskState, next_state
from esaa_git.core.state import Carrier, Issue, PinnedProgram, PinnedPrograms, Project, Run, State
from esaa_git.core.task import Attempt, Task


class Draft:
    """One event's changes to one state."""

    __slots__ = (
        "_ledger",
        "_state",
        "_touched",
        "accepted_lessons",
        "approvals",
        "carriers",
        "decisions",
        "issues",
        "lessons",
        "notes",
        "programs",
        "project",
        "requests",
        "run",
        "stop",
        "supersessions",
        "tasks",
        "undone",
    )

    def __init__(self, state: State) -> None:
        self._touched: set[tuple[str, str]] = set()
        self._state = state
        self._ledger: Ledger | None = None
        self.project: Project = state.project
        self.programs = state.programs
        self.run: Run = state.run
        self.stop = state.stop
        self.supersessions = state.supersessions
        self.undone = state.undone
        self.accepted_lessons = state.accepted_lessons
        self.tasks = state.tasks
        self.issues = state.issues
        self.lessons = state.lessons
        self.approvals = state.approvals
        self.notes = state.notes
        self.carriers = state.carriers
        self.decisions = state.decisions
        self.requests = state.requests

    # -- reading --------------------------------------------------------------------------

    def task(self, task_id: str) -> Task:
        """Return a task that the event names.

        Raises:
            Violation: INV-002, if there is no such task.
        """
        try:
            return self.tasks[task_id]
        except KeyError:
            raise Violation("INV-002", f"there is no task '{task_id}'") from None

    def attempt(self, task_id: str, attempt_id: str) -> tuple[Task, Attempt]:
        """Return a task with its current attempt, which must be the one named (INV-002)."""
        task = self.task(task_id)
        if task.attempt is None or task.attempt.attempt_id != attempt_id:
            raise Violation("INV-002", f"'{attempt_id}' is not the current attempt of '{task_id}'")
        return task, task.attempt

    def active_attempt(self, task_id: str, attempt_id: str) -> tuple[Task, Attempt]:
        """Return a task with its current attempt, which must be the one named and active."""
        task, attempt = self.attempt(task_id, attempt_id)
        if not attempt.is_active:
            raise Violation("INV-002", f"attempt '{attempt_id}' is {attempt.state}")
        return task, attempt

    def require_open_run(self) -> None:
        """Refuse work outside a run."""
        if not self.run.is_open:
            raise Violation("INV-002", f"no run is open (the run is {self.run.state})")

    @property
    def open_reservations(self) -> OpenReservations:
        """The dispatches whose cost is not settled yet."""
        held = self._state if self._ledger is None else self._ledger
        return held.open_reservations

    # -- writing --------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """Accounts and reservations, to be changed."""
        if self._ledger is None:
            self._ledger = Ledger(self._state, self._touched)
        return self._ledger

    def put_task(self, task: Task) -> None:
        """Store a task, keeping the counters; `done` never changes again (INV-001)."""
        before = self.tasks.get(task.task_id)
        run = self.run
        if before is not None and before.is_done:
            raise Violation("INV-001", f"task '{task.task_id}' is done")
        self.tasks = self.tasks.with_record(task.task_id, task)
        self._touched.add(("tasks", task.task_id))
        if before is None:
            self.change_run(
                by_state=_count(run.by_state, task.state, +1),
                by_kind=_count(run.by_kind, task.kind, +1),
            )
            return
        if before.state != task.state:
            self.change_run(
                by_state=_count(_count(run.by_state, before.state, -1), task.state, +1),
                in_progress=_members(run.in_progress, task, TaskState.IN_PROGRESS),
                blocked=_members(run.blocked, task, TaskState.BLOCKED),
            )
        if before.kind != task.kind:
            self.change_run(by_kind=_count(_count(run.by_kind, before.kind, -1), task.kind, +1))

    def create_task(self, task: Task, action: str) -> Task:
        """Store a new task in the state that the table gives."""
        if task.task_id in self.tasks:
            raise Violation("INV-005", f"task '{task.task_id}' exists already")
        task = replace(task, state=self.step("task", None, action))
        self.put_task(task)
        return task

    def put_issue(self, issue: Issue) -> None:
        """Store an issue, keeping the counts of open ones by severity."""
        before = self.issues.get(issue.issue_id)
        delta = int(issue.is_open) - int(before is not None and before.is_open)
        self.issues = self.issues.with_record(issue.issue_id, issue)
        self._touched.add(("issues", issue.issue_id))
        if before is None:
            self.change_run(issues=self.run.issues + 1)
        if delta:
            self.change_run(open_issues=_count(self.run.open_issues, issue.severity, delta))

    def put_lesson(self, lesson: Lesson) -> None:
        """Store a lesson."""
        if lesson.lesson_id not in self.lessons:
            self.change_run(lessons=self.run.lessons + 1)
        self.lessons = self.lessons.with_record(lesson.lesson_id, lesson)
        self._touched.add(("lessons", lesson.lesson_id))

    def accept_lessons(self, attempt: Attempt) -> None:
        """Have the lessons of an attempt stand, whose result closes its task."""
        standing = tuple(one for one in attempt.lessons if self.lessons[one].withdrawn is None)
        if standing:
            self._put_accepted(self.accepted_lessons.with_lessons(attempt.agent, standing))

    def drop_lesson(self, lesson: Lesson) -> None:
        """Have a lesson stand no longer."""
        if lesson.lesson_id in dict(self.accepted_lessons.by_author).get(lesson.recorded_by, ()):
            self._put_accepted(self.accepted_lessons.without(lesson.recorded_by, lesson.lesson_id))

    def _put_accepted(self, lessons: AcceptedLessons) -> None:
        self.accepted_lessons = lessons
        self._touched.add(("", "accepted_lessons"))

    def pending_approval(self, approval_id: str) -> Approval:
        """Return an approval that is not decided yet."""
        if approval_id not in self.approvals:
            raise Violation("INV-002", f"there is no approval '{approval_id}'")
        approval = self.approvals[approval_id]
        if approval.state != PENDING:
            raise Violation("INV-002", f"'{approval_id}' is {approval.state} already")
        return approval

    def without_approval(self, task: Task) -> Task:
        """Return a task whose result has to be approved anew; what was asked for is void.

        What was decided otherwise, or not in time, stays so.
        """
        approval = self.approvals.get(task.pending_approval or "")
        if approval is None or approval.state not in (PENDING, GRANTED):
            return task
        self.put_approval(replace(approval, state=VOID, reviewer=None, deadline=None))
        return replace(task, pending_approval=None)

    def put_approval(self, approval: Approval) -> None:
        """Store an approval."""
        if approval.approval_id not in self.approvals:
            self.change_run(approvals=self.run.approvals + 1)
        self.approvals = self.approvals.with_record(approval.approval_id, approval)
        self._touched.add(("approvals", approval.approval_id))

    def add_note(self, target: str, note: Note) -> None:
        """Add a remark on a task, run or event."""
        held = self.notes[target].notes if target in self.notes else ()
        self.notes = self.notes.with_record(target, Notes(target, (*held, note)[-NOTES_KEPT:]))
        self._touched.add(("notes", target))

    def put_carrier(self, carrier: Carrier) -> None:
        """Store what the log says of a commit that carries effects."""
        self.carriers = self.carriers.with_record(carrier.commit, carrier)
        self._touched.add(("carriers", carrier.commit))

    def take_decision(self, decision: Decision) -> None:
        """Take a decision document, which the log has not taken before."""
        if decision.sha256 in self.decisions:
            first = self.decisions[decision.sha256].event_id
            raise Violation("INV-002", f"{first} has taken this decision already")
        self.decisions = self.decisions.with_record(decision.sha256, decision)
        self._touched.add(("decisions", decision.sha256))

    def put_request(self, request: Request) -> None:
        """Store a request; those that are open stand in the run as well."""
        self.requests = self.requests.with_record(request.event_id, request)
        self._touched.add(("requests", request.event_id))
        is_open = request.carried_out is None
        if is_open != (request.event_id in self.run.requests):
            others = tuple(one for one in self.run.requests if one != request.event_id)
            self.change_run(requests=(*others, request.event_id) if is_open else others)

    def supersede(self, task_id: str, successor: str) -> None:
        """Note that `successor` stands in for the done task, whose record stays as it is."""
        by_task = dict(self.supersessions.by_task)
        by_task[task_id] = successor
        self.supersessions = replace(self.supersessions, by_task=tuple(sorted(by_task.items())))
        self._touched.add(("", "supersessions"))

    def begin_undo(self, task_id: str, undo: Undo) -> None:
        """Note what is to undo a done task, whose record stays as it is."""
        self.undone = self.undone.begun(task_id, undo)
        self._touched.add(("", "undone"))

    def finish_undo(self, task: Task) -> None:
        """Note that a task has undone the one that it names, if it names one."""
        if task.undoes is not None:
            self.undone = self.undone.finished(task.undoes)
            self._touched.add(("", "undone"))

    def change_run(self, **changes: Any) -> None:
        """Change fields of the run."""
        self.run = replace(self.run, **changes)
        self._touched.add(("", "run"))

    def change_stop(self, stop: Stop) -> None:
        """Stop the log, or let it go on."""
        self.stop = stop
        self._touched.add(("", "stop"))

    def change_project(self, project: Project) -> None:
        """Change the project."""
        if project != self.project:
            self.project = project
            self._touched.add(("", "project"))

    def pin_programs(self, pinned: tuple[PinnedProgram, ...] | None) -> None:
        """Change what is pinned of programs."""
        if pinned != self.programs.pinned:
            self.programs = PinnedPrograms(pinned)
            self._touched.add(("", "programs"))

    def step(self, entity: str, source: str | None, action: str, cause: str | None = None) -> str:
        """Return the next state by the table; a step that it lacks is a violation."""
        try:
            return next_state(entity, source, action, cause)
        except IllegalTransition as error:
            rule = "INV-001" if entity == "task" and source == "done" else "INV-002"
            raise Violation(rule, str(error)) from error

    def seal(self, seq: int, ts: str) -> State:
        """Return the state after the event."""
        money = self._state if self._ledger is None else self._ledger
        return State(
            seq=seq,
            ts=ts,
            project=self.project,
            run=self.run,
            stop=self.stop,
            supersessions=self.supersessions,
            undone=self.undone,
            accepted_lessons=self.accepted_lessons,
            programs=self.programs,
            tasks=self.tasks,
            issues=self.issues,
            lessons=self.lessons,
            approvals=self.approvals,
            notes=self.notes,
            carriers=self.carriers,
            decisions=self.decisions,
            requests=self.requests,
            open_reservations=money.open_reservations,
            accounts=money.accounts,
            reservations=money.reservations,
            settled_elsewhere=money.settled_elsewhere,
            touched=frozenset(self._touched),
        )


def _count(
    counts: tuple[tuple[str, int], ...], key: str, delta: int
) -> tuple[tuple[str, int], ...]:
    table = dict(counts)
    table[key] = table.get(key, 0) + delta
    if not table[key]:
        del table[key]
    return tuple(sorted(table.items()))


def _members(names: tuple[str, ...], task: Task, state: str) -> tuple[str, ...]:
    if (task.state == state) == (task.task_id in names):
        return names
    if task.state == state:
        return tuple(sorted((*names, task.task_id)))
    return tuple(name for name in names if name != task.task_id)
