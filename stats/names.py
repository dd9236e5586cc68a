"""Names that the tables of a study share. Imports no pandas, so that a plan can use them."""

SPLIT = ["study", "method", "split"]  # the columns that identify a split of a method
CELL = [*SPLIT, "seed"]  # the columns that identify a cell
ARMS = ("A", "B")
BASELINE = "baseline"  # the split whose cells train one arm on all pairs
TAIL_METRIC = "pref_acc_tail"  # accuracy on the training tail, the published metric
HELD_OUT_METRIC = "pref_acc_heldout"  # accuracy on held-out pairs
# Metrics whose difference, arm A minus arm B, is recorded.
DIFF_METRICS = (TAIL_METRIC, HELD_OUT_METRIC, "margin_heldout")
