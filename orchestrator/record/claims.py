"""Which drivers claim a study: one tag of its experiment per driver."""

from dataclasses import dataclass
from enum import StrEnum

from mlflow.exceptions import MlflowException

from orchestrator.record.experiment import Experiment

CLAIM_TAG = "claim."  # followed by the driver's id


class ClaimState(StrEnum):
    """What a driver claims: to drive the study, or to wait for it."""

    HOLDS = "holds"  # It drives the study.
    WAITS = "waits"  # It waits until no other driver claims the study.


@dataclass(frozen=True)
class Claim:
    """A driver's claim, which its tag spells as `holds host/boot/namespace 4711 86400 12`.

    Attributes:
        state: Whether the driver drives the study or waits for it.
        machine: The driver's machine, as `orchestrator.record.lease.this_machine` names it.
        process: The driver's process id.
        started: When that process started, in seconds since its machine's start.
        renewals: How often the claim was written; a claim that no longer changes belongs to a dead driver.
    """

    state: ClaimState
    machine: str
    process: int
    started: int
    renewals: int

    @classmethod
    def parse(cls, text: str) -> "Claim":
        state, machine, *numbers = text.split()
        return cls(ClaimState(state), machine, *map(int, numbers))

    @property
    def host(self) -> str:
        return self.machine.split("/")[0]

    def __str__(self) -> str:
        return f"{self.state} {self.machine} {self.process} {self.started} {self.renewals}"


class Claims:
    """The claims on one study, in its record."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._client = experiment, experiment.client.unguarded()

    def all(self) -> dict[str, Claim]:
        """Return driver -> its newest claim."""
        tags = self._client.get_experiment(self._experiment.id).tags
        return {
            key.removeprefix(CLAIM_TAG): Claim.parse(text)
            for key, text in tags.items()
            if key.startswith(CLAIM_TAG)
        }

    def put(self, driver: str, claim: Claim) -> None:
        """Write or renew a driver's claim; raise StudyError if the experiment was deleted."""
        try:
            self._client.set_experiment_tag(self._experiment.id, f"{CLAIM_TAG}{driver}", str(claim))
        except MlflowException:
            self._experiment.refuse_deleted()
            raise

    def withdraw(self, driver: str) -> None:
        """Remove a driver's claim, if there is one."""
        if driver in self.all():
            self._client.delete_experiment_tag(self._experiment.id, f"{CLAIM_TAG}{driver}")
