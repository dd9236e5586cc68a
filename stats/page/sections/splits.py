"""The section that compares the splits: the published rule's labels, with the evidence beside them."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.markdown import intervals, plain, signed
from stats.page.page import Page
from stats.rule.labels import Prediction


def splits(comparison: Comparison, page: Page) -> list[str]:
    """Return the verdicts, the change labels and the evidence for each."""
    labels, change_labels, say = comparison.labels, comparison.change_labels, page.say
    verdicts = pd.DataFrame(
        {
            "method": labels["method"],
            "split": labels["split"],
            "predicted": labels["predicted"],
            "seeds": labels["n_seeds"],
            "mean pp": labels["mean_pp"].map(signed),
            "std pp": labels["std_pp"].map(plain),
            "direction": labels["direction"],
            "x/N": labels["x_of_n"],
            "published verdict (tail)": [
                verdict or Prediction.EXPLORATORY.value for verdict in labels["verdict"]
            ],
            _evidence_heading(comparison): say.words(labels["evidence"]),
            "label supported": say.words(labels["carried"]),
        }
    )
    changes = pd.DataFrame(
        {
            "method": change_labels["method"],
            "split": change_labels["split"],
            comparison.reference: change_labels["reference_verdict"],
            "method's verdict": change_labels["method_verdict"],
            "change": change_labels["change"],
            _evidence_heading(comparison): say.words(change_labels["evidence"]),
            "label supported": say.words(change_labels["carried"]),
            "change pp": change_labels["estimate"].map(signed),
            "adjusted interval": intervals(change_labels["low_adjusted"], change_labels["high_adjusted"]),
        }
    )
    return [
        say("## Splits: the published verdict, and the evidence"),
        say(
            "A minus B on the training tail: the mean and the population standard deviation over seeds, the "
            "number of seeds that share the sign of the mean (`x/N`), and the label of the published rule. "
            "The rule ignores uncertainty; the last two columns take it into account."
        ),
        page.table(verdicts),
        say("### Change from {reference}", reference=comparison.reference),
        page.table(changes) if len(changes) else say("No other method has a split to compare."),
        *_splits_by_change(change_labels, page),
        *page.pictures("forest", "changes"),
    ]


def _evidence_heading(comparison: Comparison) -> str:
    """Return the heading of the evidence, with the metric that it is judged by."""
    return "evidence (held-out)" if comparison.heldout else "evidence (tail)"


def _splits_by_change(change_labels: pd.DataFrame, page: Page) -> list[str]:
    """Return, per method, how many and which splits have each change label."""
    lines = []
    for method, part in change_labels.groupby("method", sort=False):
        labels = [
            f"{label} {len(rows)}/{len(part)} ({', '.join(rows['split'])})"
            for label, rows in part.groupby("change", sort=True)
        ]
        lines.append(f"- {method}: {'; '.join(labels)}")
    return [page.say("How many of the predicted splits have each change label, and which:"),
            "\n".join(lines)] if lines else []  # fmt: skip
