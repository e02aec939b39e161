"""What other domains do when a job of theirs has something to say: told to jobs by the composition root, since jobs stand below them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from kargah.contract.events import Event
from kargah.contract.plans import InputFile
from kargah.jobs.launchers.forge import Forge
from kargah.jobs.tables import Job

#: Stores what an event means, in the transaction that stores the event. Step events do not come here. A KargahError ends the job FAILED
#: with it; ``Failed`` and ``Stopped`` must be taken without one.
Project = Callable[[Session, Path, Job, Event], None]
#: Work on files before that transaction, on ``Finished``; may run more than once, so it must be idempotent.
Prepare = Callable[[Path, Job, Event], None]
#: Sees every batch of events, of one job or several (each comes once), in its transaction.
Observe = Callable[[Session, Sequence[tuple[Job, Sequence[Event]]]], None]
#: Puts a plan's inputs under ``inputs/``: (home, inputs, target folder).
LayOut = Callable[[Path, list[InputFile], Path], None]


@dataclass(frozen=True)
class Trade:
    """One kind of job. ``light`` ones are short and may run beside what fills the cores."""

    module: str
    project: Project | None = None
    prepare: Prepare | None = None
    light: bool = False


@dataclass(frozen=True)
class Trades:
    """All that an agent knows to do. ``forge``: starts trainings warm, when it is ready."""

    by_kind: Mapping[str, Trade]
    lay_out: LayOut
    observers: Sequence[Observe] = ()
    forge: Forge | None = None

    def light_kinds(self) -> frozenset[str]:
        return frozenset(kind for kind, trade in self.by_kind.items() if trade.light)
