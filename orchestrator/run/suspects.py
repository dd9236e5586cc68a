"""Which nodes and lanes fail one piece of work after another, and how long they therefore get no more."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

BAD_AFTER = 3  # different pieces of work that fail in a row
OUT_S, LONGEST_OUT_S = 60.0, 3600.0  # the first and the longest time without work; each is twice the last


@dataclass
class _Suspicion:
    """What speaks against a place.

    Attributes:
        failed: The keys of the work that failed there since the last success, apart from work that failed
            elsewhere, too.
        times_out: How many times in a row the place was taken out.
        out_until: When it gets work again, in seconds of the event loop's clock.
    """

    failed: set[str] = field(default_factory=set)
    times_out: int = 0
    out_until: float = 0.0

    def bring_back(self) -> None:
        self.times_out, self.out_until = 0, 0.0


class Suspects:
    """Takes places out that fail one piece of work after another, and lets them try again later.

    A lane lies at several places, the widest first: its node, and the lane itself. Work that fails at two
    places of the same kind is itself to blame, and speaks against neither of them.
    """

    def __init__(self) -> None:
        # For each kind of place: what speaks against each of them, and the work that is itself to blame.
        self._suspicions: defaultdict[int, defaultdict[str, _Suspicion]]
        self._suspicions = defaultdict(lambda: defaultdict(_Suspicion))
        self._guilty: defaultdict[int, set[str]] = defaultdict(set)

    def is_out(self, places: Sequence[str], now: float) -> bool:
        """Return whether a lane that lies at these places should get no work now."""
        return any(now < self._suspicions[kind][place].out_until for kind, place in enumerate(places))

    def finished(self, places: Sequence[str]) -> None:
        """Note that work was finished, which clears the places of all suspicion."""
        for kind, place in enumerate(places):
            self._suspicions[kind][place] = _Suspicion()

    def failed(self, key: str, places: Sequence[str], now: float) -> dict[str, float]:
        """Note that work failed, and return place -> seconds for those that are taken out now."""
        taken_out: dict[str, float] = {}
        for kind, place in enumerate(places):
            if self._is_guilty(key, kind, place):
                continue
            suspicion = self._suspicions[kind][place]
            suspicion.failed.add(key)
            if len(suspicion.failed) >= BAD_AFTER and now >= suspicion.out_until:
                taken_out[place] = min(OUT_S * 2**suspicion.times_out, LONGEST_OUT_S)
                suspicion.times_out += 1
                suspicion.out_until = now + taken_out[place]
        return taken_out

    def _is_guilty(self, key: str, kind: int, place: str) -> bool:
        """Return whether work failed at another place, too. It then speaks against none of them any more."""
        others = [other for name, other in self._suspicions[kind].items() if name != place]
        if any(key in other.failed for other in others):
            self._guilty[kind].add(key)
            for suspicion in self._suspicions[kind].values():
                suspicion.failed.discard(key)
                if len(suspicion.failed) < BAD_AFTER:
                    suspicion.bring_back()
        return key in self._guilty[kind]
