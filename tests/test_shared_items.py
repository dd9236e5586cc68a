"""Items that several users rated: two-way clustered variances, against dense matrices and planted truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.shared_items import ItemWorld, contrast
from stats.errors import TableError
from stats.evidence.anova import estimate, mean_squares, nested_estimates, unpaired_change, variance_parts
from stats.evidence.crossed import CrossedTable, crossed_table, difference
from stats.evidence.estimate import BOTH, WITH_ITEMS
from stats.evidence.looks import Looks, estimate_path
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from stats.notebook import judge

PREDICTED = pd.DataFrame({"study": ["simulated"], "split": ["S"], "predicted": ["A > B"]})


def outcomes(items: int, number: int = 0, seeds: int = 3, method: str = "dpo") -> pd.DataFrame:
    """Outcomes of users who rated a few of the same items, in part across the two groups.

    A seed decides for an item, and a user for a pair, so that all three kinds of chance are there. The pairs,
    users and items do not depend on the method.
    """
    truth = SimulatedStudy(seeds, users=9, pairs_per_user=4)
    table = simulated_outcomes(truth, np.random.default_rng(7), method)
    pairs = table["pair_id"].unique()
    item_of = dict(zip(pairs, np.random.default_rng(8).integers(0, items, len(pairs)), strict=True))
    rng = np.random.default_rng(number)
    of_item, of_seed = rng.normal(0, 1, items), rng.normal(0, 0.5, (seeds, items))
    item = table["pair_id"].map(item_of)
    margin = table["margin"] + of_item[item] + of_seed[table["seed"], item]
    return table.assign(item="item" + item.astype(str), margin=margin, correct=margin > 0)


def without_items(table: CrossedTable) -> CrossedTable:
    return CrossedTable(table.seeds, tuple(replace(group, shared=None) for group in table.groups))


class Dense:
    """The same variances from matrices over pairs of pairs."""

    def __init__(self, table: pd.DataFrame) -> None:
        own = table[table["arm"] == table["eval_group"]]
        wide = own.pivot(index="seed", columns=["eval_group", "user_id", "item", "pair_id"], values="correct")
        pairs = wide.columns.to_frame(index=False)
        correct = wide.to_numpy(dtype=float)
        in_group = pairs["eval_group"].to_numpy()[:, None] == pairs["eval_group"].to_numpy()
        size = in_group.sum(axis=0)
        self.influence_of = (np.eye(len(pairs)) - in_group / size) / size
        sign = np.where(pairs["eval_group"] == "A", 100.0, -100.0)
        self.influences = (correct * sign) @ self.influence_of.T
        raters = pairs.groupby("item")["user_id"].transform("nunique").to_numpy()
        shared = (raters > 1)[:, None] & (raters > 1)
        item, user = pairs["item"].to_numpy(), pairs["user_id"].to_numpy()
        same_item = (item[:, None] == item) & shared
        same_both = same_item & (user[:, None] == user)
        self.kernel = self._unbiased(same_item, in_group) - self._unbiased(same_both, in_group)

    def _unbiased(self, same: np.ndarray, in_group: np.ndarray) -> np.ndarray:
        """Scale a kernel so that it is right on average where clusters within groups have effects."""
        clusters = np.unique((same & in_group).astype(int), axis=0).astype(float)
        effects = clusters[clusters.any(axis=1)].T
        size = in_group.sum(axis=0)
        truth = (((effects / size[:, None]).sum(axis=0)) ** 2).sum()
        seen = np.trace((self.influence_of @ effects).T @ same @ (self.influence_of @ effects))
        return np.asarray(same * truth / seen)

    def variance(self, influences: np.ndarray) -> float:
        return float(influences @ self.kernel @ influences)

    def items(self, influences: np.ndarray) -> tuple[float, float]:
        """The variance of the mean over seeds, and what of it is due to how seeds differ between items."""
        mean, seeds = influences.mean(axis=0), len(influences)
        residual = sum(self.variance(row - mean) for row in influences) / (seeds - 1) / seeds
        return self.variance(mean), residual


@pytest.mark.parametrize("number", range(4))
def test_the_variance_is_that_of_the_two_way_formula(number: int) -> None:
    table = outcomes(12, number)
    dense, contrast_of = Dense(table), crossed_table(user_sums(table))
    between, residual = dense.items(dense.influences)
    squares = mean_squares(contrast_of)
    assert squares.items is not None
    assert squares.items.between == pytest.approx(between)
    assert squares.items.residual / 3 == pytest.approx(residual)
    plain, added = estimate(mean_squares(without_items(contrast_of))), max(0.0, between)
    assert plain.se is not None
    left = plain.parts[0].variance - min(
        plain.parts[0].variance, sum(group.residual / group.users / 3 for group in squares.groups)
    )
    expected = plain.se**2 + added - min(max(0.0, residual), added, left)
    assert estimate(squares).se == pytest.approx(np.sqrt(expected))


def test_a_change_counts_items_pair_by_pair() -> None:
    """Paired by seed or not, what both methods get right or wrong alike on an item cancels."""
    method, reference = outcomes(12, 1, method="wpo"), outcomes(12, 2)
    a, b = Dense(method), Dense(reference)
    tables = [crossed_table(user_sums(table)) for table in (method, reference)]
    paired = mean_squares(difference(*tables))
    assert paired.items is not None
    between, residual = a.items(a.influences - b.influences)
    assert (paired.items.between, paired.items.residual / 3) == pytest.approx((between, residual))
    spreads = tuple(mean_squares(table).spread for table in tables)
    unpaired = unpaired_change(tables[0], tables[1], (spreads[0], spreads[1]))
    assert unpaired.captures == WITH_ITEMS[BOTH]
    assert unpaired.parts[-1].variance <= max(0.0, between) + 1e-9
    assert mean_squares(difference(tables[0], tables[0])).items == replace(
        paired.items, between=0.0, residual=0.0
    )


def test_without_shared_items_every_number_is_as_it_was() -> None:
    """An item that one user rated, however often, changes nothing, and neither does a column of blanks."""
    table = simulated_outcomes(SimulatedStudy(3, 12, 4), np.random.default_rng(0))
    own_items = table.assign(item=table["user_id"] + table["pair_id"].str[-1])
    for other in (own_items, table.assign(item=None)):
        pd.testing.assert_frame_equal(judge(table, PREDICTED, "dpo"), judge(other, PREDICTED, "dpo"))
        of = estimate(mean_squares(crossed_table(user_sums(other))))
        assert of.captures == BOTH
        assert len(of.parts) == 2


def test_shared_items_widen_the_interval() -> None:
    table = outcomes(6, 3)
    table["item"] += table["eval_group"]  # an item that both groups rate cancels in A minus B
    shared = judge(table, PREDICTED, "dpo").iloc[0]
    alone = judge(table.drop(columns="item"), PREDICTED, "dpo").iloc[0]
    assert shared["estimate_pp"] == alone["estimate_pp"]
    assert shared["high95_pp"] - shared["low95_pp"] > alone["high95_pp"] - alone["low95_pp"]


def test_one_seed_decides_nothing_with_items_either() -> None:
    table = outcomes(30, 4, seeds=1).assign(correct=True, margin=1.0)
    wrong = (table["eval_group"] == "B") & (table["pair_id"].str[-1] != "0")
    table.loc[wrong, ["correct", "margin"]] = False, -1.0
    diff = judge(table, PREDICTED, "dpo").iloc[0]
    assert diff["low_pp"] > 0
    assert diff["evidence"] == "undecided"


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 30), st.integers(0, 10**6))
def test_more_kinds_of_chance_never_make_an_interval_narrower(seeds: int, items: int, number: int) -> None:
    table = crossed_table(user_sums(outcomes(items, number, seeds)))
    both = estimate(mean_squares(table))
    users = estimate(mean_squares(without_items(table)))
    for tail in (0.2, 0.025, 0.001):
        assert users.half(tail) <= both.half(tail) * (1 + 1e-9)
        for _, part in nested_estimates(mean_squares(table)):
            assert part.half(tail) <= both.half(tail) * (1 + 1e-9)


def test_neither_the_order_of_rows_nor_reading_cell_by_cell_matters() -> None:
    table = outcomes(10)
    whole = estimate(mean_squares(crossed_table(user_sums(table))))
    shuffled = user_sums(table.sample(frac=1, random_state=1))
    by_cell = pd.concat([user_sums(part) for _, part in table.groupby("seed")])
    for sums in (shuffled, by_cell):
        assert estimate(mean_squares(crossed_table(sums))).se == pytest.approx(whole.se)


def test_looks_hold_the_items_part_and_its_degrees_of_freedom() -> None:
    table = crossed_table(user_sums(outcomes(10, 5, seeds=6)))
    of_seeds, of_users = variance_parts(table, 2)
    for n, parts in enumerate(zip(of_seeds, of_users, strict=True), start=2):
        of = estimate(mean_squares(table.taking(range(n))))
        assert of.se is not None
        assert sum(parts) == pytest.approx(of.se**2)
    assert estimate_path(table, Looks(2, 20)).users <= 10  # items, of which there are fewer than users


def test_one_item_says_nothing_about_others() -> None:
    table = outcomes(10).assign(item="the same")
    of = estimate(mean_squares(crossed_table(user_sums(table))))
    assert not of.parts
    assert "one held-out item" in of.note
    assert np.isnan(variance_parts(crossed_table(user_sums(table)), 2)[1]).all()


def test_a_pair_that_changes_its_item_is_refused() -> None:
    table = outcomes(10)
    renamed = table.assign(item=table["item"].where(table["seed"] != 1, table["item"].str[::-1] + "x"))
    with pytest.raises(TableError, match="another item in another seed or arm"):
        crossed_table(user_sums(renamed))
    others = crossed_table(user_sums(table.assign(item=table["item"] + "x")))
    with pytest.raises(TableError, match="another item for the method and the reference"):
        difference(crossed_table(user_sums(table)), others)


@pytest.mark.parametrize(
    "world",
    [
        ItemWorld(seeds=3, users=60, items=10, sd_item=0.6),
        ItemWorld(seeds=10, users=60, items=20, sd_item=0.6),
    ],
)
def test_intervals_cover_the_planted_truth_only_with_items(world: ItemWorld) -> None:
    """120 studies with few items and strong effects; bench/shared_items.py runs 1,000 per setting."""
    rng = np.random.default_rng(world.items)
    covered = np.zeros(2)
    for _ in range(120):
        table = contrast(world, rng)
        for place, of in enumerate((table, without_items(table))):
            low, high = estimate(mean_squares(of)).interval(0.95) or (np.nan, np.nan)
            covered[place] += low <= 0 <= high
    with_items, users_only = covered / 120
    assert with_items >= 0.89  # three standard errors below 0.95
    assert users_only < 0.89
