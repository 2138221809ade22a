"""git-esaa: Event Sourcing for Autonomous Agents, on git.

The public API is what `__all__` names; docs/api.md shows it with examples. A name is loaded when it
is first used, so that importing the package costs nothing; `__init__.pyi` has the types. Beside it
these modules are public: `core.event`, `core.events`, `core.state`, `core.task`, `core.contracts`
and `errors` for what the API returns and raises, `ports.agent` and `agents.adapter` for authors of
adapters, and `testing`. All else is internal and may change with any version.
"""

__version__ = "0.1.0"

__all__ = [
    "Applied",
    "Assignment",
    "Begun",
    "Consents",
    "EsaaError",
    "Observer",
    "Outcome",
    "Project",
    "RunObserver",
    "RunReport",
    "Stop",
    "Synced",
    "VerifyReport",
    "__version__",
    "allow",
    "apply_plan",
    "claim",
    "clone",
    "consents",
    "events",
    "init",
    "open",
    "review",
    "revoke",
    "run",
    "state",
    "submit",
    "sync",
    "verify",
]

_HOMES = {
    "Applied": "app.plan",
    "Assignment": "app.work",
    "Begun": "app.init",
    "Consents": "app.consent",
    "EsaaError": "errors",
    "Observer": "app.observer",
    "Outcome": "app.work",
    "Project": "app.project",
    "RunObserver": "app.run",
    "RunReport": "app.run",
    "Stop": "app.run",
    "Synced": "app.sync",
    "VerifyReport": "app.verify",
    "allow": "app.consent",
    "apply_plan": "app.plan",
    "claim": "app.work",
    "clone": "app.sync",
    "consents": "app.consent",
    "events": "app.history",
    "init": "app.init",
    "open": "app.project:open_project",
    "review": "app.reviews",
    "revoke": "app.consent",
    "run": "app.run",
    "state": "app.history",
    "submit": "app.work",
    "sync": "app.sync",
    "verify": "app.verify",
}
"""Where each name comes from; after the colon what it is called there, if not the same."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    module, _, there = _HOMES[name].partition(":")
    found: object = getattr(import_module(f"{__name__}.{module}"), there or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
