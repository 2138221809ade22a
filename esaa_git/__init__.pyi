# What `__init__.py` loads on first use, as type checkers see it. A stub and not a block under
# TYPE_CHECKING: modules of ours take `__version__` from the package, and would import all of this.

from esaa_git.app.consent import Consents, allow, consents, revoke
from esaa_git.app.history import events, state
from esaa_git.app.init import Begun, init
from esaa_git.app.observer import Observer
from esaa_git.app.plan import Applied, apply_plan
from esaa_git.app.project import Project
from esaa_git.app.project import open_project as open  # noqa: A004 (as in `gzip.open`)
from esaa_git.app.reviews import review
from esaa_git.app.run import RunObserver, RunReport, Stop, run
from esaa_git.app.sync import Synced, clone, sync
from esaa_git.app.verify import VerifyReport, verify
from esaa_git.app.work import Assignment, Outcome, claim, submit
from esaa_git.errors import EsaaError

__version__: str

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
