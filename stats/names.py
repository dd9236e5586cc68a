"""Names that the tables of a study share. Knows no pandas, so that a plan can use them."""

SPLIT = ["study", "method", "split"]  # columns that name a split of a method
CELL = [*SPLIT, "seed"]
BASELINE = "baseline"  # the split whose cells train one arm on all pairs
TAIL, HELD_OUT = (
    "pref_acc_tail",
    "pref_acc_heldout",
)  # metrics: accuracy on the training tail, on held-out pairs
