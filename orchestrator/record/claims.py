"""Which drivers claim a study: one tag of its experiment per driver."""

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.record.experiment import Experiment

CLAIM_TAG = "driver."  # followed by the driver's id


class ClaimState(StrEnum):
    """What a driver claims: to drive the study, or to wait for it."""

    HOLDS = "holds"  # It drives the study.
    WAITS = "waits"  # It waits until no other driver claims the study.


@dataclass(frozen=True)
class Claim:
    """A driver's claim, which its tag spells as `holds host/boot/namespace 4711 12`.

    Attributes:
        state: Whether the driver drives the study or waits for it.
        machine: The driver's machine, as `orchestrator.record.lease.this_machine` names it.
        process: The driver's process id.
        renewals: How often the claim was written; a claim that no longer changes belongs to a dead driver.
    """

    state: ClaimState
    machine: str
    process: int
    renewals: int

    @classmethod
    def parse(cls, text: str) -> "Claim":
        state, machine, process, renewals = text.split()
        return cls(ClaimState(state), machine, int(process), int(renewals))

    @property
    def host(self) -> str:
        return self.machine.split("/")[0]

    def __str__(self) -> str:
        return f"{self.state} {self.machine} {self.process} {self.renewals}"


class Claims:
    """The claims on one study, in its record."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def all(self) -> dict[str, Claim]:
        """Return driver -> its newest claim."""
        tags = self._experiment.client.get_experiment(self._experiment.id).tags
        return {
            key.removeprefix(CLAIM_TAG): Claim.parse(text)
            for key, text in tags.items()
            if key.startswith(CLAIM_TAG)
        }

    def put(self, driver: str, claim: Claim) -> None:
        """Write or renew a driver's claim."""
        self._experiment.client.set_experiment_tag(self._experiment.id, f"{CLAIM_TAG}{driver}", str(claim))

    def withdraw(self, driver: str) -> None:
        """Remove a driver's claim, if there is one."""
        if driver in self.all():
            self._experiment.client.delete_experiment_tag(self._experiment.id, f"{CLAIM_TAG}{driver}")
