"""Saved views of a study in MLflow's UI: its cells by method and split, and each cell with both arms' curves.

MLflow has no call for them: a view is an experiment's tag with the state of the runs page, as its own UI
writes it. `tests/integration/test_ui.py` opens them in a browser.
"""

import json
from typing import Any

TAG = "mlflow.sharedViewState."
GROUPED, CELLS = "methods-and-splits", "cells"
DIFFS = ("diff/pref_acc_tail", "diff/pref_acc_heldout", "diff/margin_heldout")
CURVES = ("accuracy", "loss", "margin")
_SECTION = "study"


def tags(now_ms: int) -> dict[str, str]:
    """The experiment's tags that hold the views; `now_ms`: when they were made, Unix milliseconds."""
    views = {
        GROUPED: ("Methods and splits", {**_state(()), "groupBy": _group_by("method", "split")}),
        CELLS: ("Cells", _state(("method", "split", "seed"))),
    }
    return {
        f"{TAG}{key}": json.dumps({"name": name, "createdAt": now_ms, "state": json.dumps(state)})
        for key, (name, state) in views.items()
    }


def link(experiment: str, view: str, charts: bool) -> str:
    """Where the UI opens a view, as an address within the UI: its table, or its charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={view}{mode}&workflowType=machine_learning"


def _state(columns: tuple[str, ...]) -> dict[str, Any]:
    """The runs page on a study's cells: columns of the table, charts in one section before MLflow's own."""
    shown = [f"tags.`{name}`" for name in columns] + [f"metrics.`{name}`" for name in DIFFS]
    curves = [_curve(metric) for metric in CURVES]
    bars = [{**_chart(name), "type": "BAR", "displayName": name, "metricKey": name} for name in DIFFS]
    return {
        "searchFilter": "tags.kind = 'cell'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": shown,
        "columnOrder": ["attributes.`Run Name`", *shown, "runDateAndNestInfo", "duration"],
        "columnWidths": {"attributes.`Run Name`": 290} | dict.fromkeys(shown[-len(DIFFS) :], 160),
        "compareRunCharts": curves + bars,
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Arms A and B", "display": True},
            *({"uuid": name, "name": name, "display": False} for name in ("diff", "A", "B", "all")),
        ],
        "isAccordionReordered": True,  # leaves the sections in this order
    }


def _curve(metric: str) -> dict[str, Any]:
    """A metric of both arms over the steps, in one chart."""
    keys = [f"{metric}/{arm}" for arm in ("A", "B")]
    return {
        **_chart(metric),
        "type": "LINE",
        "displayName": metric,
        "metricKey": keys[0],
        "selectedMetricKeys": keys,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "selectedXAxisMetricKey": "",
        "lineSmoothness": 0,
        "range": {},
        "ignoreOutliers": False,
    }


def _chart(name: str) -> dict[str, Any]:
    return {"uuid": name, "metricSectionId": _SECTION, "runsCountToCompare": 10, "deleted": False}


def _group_by(*names: str) -> dict[str, Any]:
    keys = [{"mode": "tag", "groupByData": name} for name in names]
    return {"aggregateFunction": "average", "groupByKeys": keys}
