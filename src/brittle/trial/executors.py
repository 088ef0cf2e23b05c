"""Running a plan on workers: parcels go out, results come back, and one writer keeps them.

All state is the folder: a worker or a driver that is lost costs what it was doing.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, Protocol

from brittle.errors import UserError
from brittle.models import EditModel
from brittle.progress import Progress
from brittle.record.store import FolderStore
from brittle.trial.parcels import STAGES, STAGES_OF_OTHERS, Inputs, Parcel, inputs_of, parcels_of
from brittle.trial.stages import keep_masks
from brittle.trial.tasks import Plan
from brittle.trial.workers import Failure, Made, Outcome, keep, shell_of

LOSSES = 4
"""So many workers may be lost over one parcel; then it is taken for the cause."""


class Lost(NamedTuple):
    """A worker ended before what it was doing; ``why`` in words."""

    why: str


class Pool(Protocol):
    """Workers that do parcels."""

    room: int
    """How many parcels it takes at once."""

    def prepare(self, shell: Plan) -> None:
        """Tell all workers, and those to come, of what plan the next parcels are.

        What of a former plan is still under way is forgotten.
        """

    def begin(self, parcel: Parcel, inputs: Inputs) -> Hashable:
        """Hand a parcel to a worker; returns a ticket."""

    def finished(self) -> tuple[Hashable, Outcome | Lost]:
        """Wait for any parcel to end: its ticket, and what came of it."""


def compute_on(
    pool: Pool, plan: Plan, store: FolderStore, model: EditModel, progress: Progress
) -> None:
    """As `stages.compute`, on workers; ``model`` computes nothing here.

    Raises:
        UserError: as the stages; a parcel that several workers were lost over.
        OutOfMemory: of a worker, where fewer rows a call would help.
    """
    keep_masks(plan, store)
    pool.prepare(shell_of(plan))
    for stage in STAGES if plan.makes_files else STAGES_OF_OTHERS:
        parcels = parcels_of(stage, plan, store, model)
        if parcels:
            with progress(stage, sum(one.pieces for one in parcels)) as advance:
                for parcel, made in done_by(pool, parcels, lambda one: inputs_of(one, plan, store)):
                    keep(store, made)
                    advance(parcel.pieces)


def done_by(
    pool: Pool, parcels: Iterable[Parcel], inputs: Callable[[Parcel], Inputs]
) -> Iterator[tuple[Parcel, list[Made]]]:
    """What workers make of parcels, as they finish; errors as `compute_on`.

    A parcel is read and sent when there is room for it. One whose worker is lost is sent again.
    """
    ahead, again, losses = iter(parcels), deque[Parcel](), Counter[Parcel]()
    at_work: dict[Hashable, Parcel] = {}
    while True:
        while len(at_work) < pool.room:
            parcel = again.popleft() if again else next(ahead, None)
            if parcel is None:
                break
            at_work[pool.begin(parcel, inputs(parcel))] = parcel
        if not at_work:
            return
        ticket, outcome = pool.finished()
        parcel = at_work.pop(ticket)
        if isinstance(outcome, Failure):
            raise outcome.raised()
        if isinstance(outcome, Lost):
            losses[parcel] += 1
            if losses[parcel] == LOSSES:
                raise UserError(
                    f"{LOSSES} workers were lost over the same {parcel.stage}; the last one: "
                    f"{outcome.why}"
                )
            again.append(parcel)
            continue
        yield parcel, outcome
