"""Saved views of a study in MLflow's UI: its verdicts, its cells by method and split, and each cell's curves.

MLflow has no call that saves a view. A view is a tag of the experiment that holds the state of the runs page,
as MLflow's own UI writes it. `tests/integration/test_ui.py` opens the views in a browser.
"""

import json
from typing import Any

from stats.names import ARMS, DIFF_METRICS

VIEW_TAG = "mlflow.sharedViewState."  # followed by the view's name
VERDICTS_VIEW, GROUPED_VIEW, CELLS_VIEW = "verdicts", "methods-and-splits", "cells"
VERDICT_TAGS = ("method", "split", "predicted", "label", "evidence", "change", "change_evidence", "state")
VERDICT_METRICS = tuple(f"{of}_{name}" for of in ("diff", "change") for name in ("pp", "low_pp", "high_pp"))
CURVE_METRICS = ("accuracy", "loss", "margin")
DIFF_CHARTS = tuple(f"diff/{metric}" for metric in DIFF_METRICS)
CHART_SECTION = "study"


def tags(now_ms: int) -> dict[str, str]:
    """Return the tags of the experiment that hold the views, created at `now_ms` (Unix milliseconds)."""
    grouped = {**_page_state(()), "groupBy": _group_by("method", "split")}
    views = {
        VERDICTS_VIEW: ("Verdicts", _verdicts_state()),
        GROUPED_VIEW: ("Methods and splits", grouped),
        CELLS_VIEW: ("Cells", _page_state(("method", "split", "seed"))),
    }
    return {
        f"{VIEW_TAG}{view}": json.dumps({"name": title, "createdAt": now_ms, "state": json.dumps(state)})
        for view, (title, state) in views.items()
    }


def link(experiment: str, view: str, charts: bool) -> str:
    """Return the address of a view within the UI, opened on its charts or on its table."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={view}{mode}&workflowType=machine_learning"


def _page_state(label_columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the state of the runs page for a study's cells: the table's columns, and the charts."""
    columns = [f"tags.`{name}`" for name in label_columns] + [f"metrics.`{name}`" for name in DIFF_CHARTS]
    curves = [_curve_chart(metric) for metric in CURVE_METRICS]
    bars = [{**_chart(name), "type": "BAR", "displayName": name, "metricKey": name} for name in DIFF_CHARTS]
    return {
        "searchFilter": "tags.kind = 'cell' and tags.plan = 'present'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns, "runDateAndNestInfo", "duration"],
        "columnWidths": {"attributes.`Run Name`": 290} | dict.fromkeys(columns[-len(DIFF_CHARTS) :], 160),
        "compareRunCharts": curves + bars,
        "compareRunSections": [
            {"uuid": CHART_SECTION, "name": "Arms A and B", "display": True},
            *({"uuid": name, "name": name, "display": False} for name in ("diff", *ARMS, "all")),
        ],
        "isAccordionReordered": True,  # keeps the sections in this order
    }


def _verdicts_state() -> dict[str, Any]:
    """Return the state of the runs page for the verdicts: one row per method and split, with intervals."""
    tags = [f"tags.`{name}`" for name in VERDICT_TAGS]
    metrics = [f"metrics.`{name}`" for name in (*VERDICT_METRICS, "seeds")]
    columns = [*tags, *metrics]
    bars = [
        {**_chart(name), "type": "BAR", "displayName": name, "metricKey": name}
        for name in ("diff_pp", "change_pp")
    ]
    return {
        "searchFilter": "tags.kind = 'verdict'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": dict.fromkeys(columns, 110),
        "compareRunCharts": bars,
        "compareRunSections": [{"uuid": CHART_SECTION, "name": "Diffs and changes", "display": True}],
        "isAccordionReordered": True,
    }


def _curve_chart(metric: str) -> dict[str, Any]:
    """Return one chart of a metric of both arms over the steps."""
    keys = [f"{metric}/{arm}" for arm in ARMS]
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
    return {"uuid": name, "metricSectionId": CHART_SECTION, "runsCountToCompare": 10, "deleted": False}


def _group_by(*labels: str) -> dict[str, Any]:
    keys = [{"mode": "tag", "groupByData": label} for label in labels]
    return {"aggregateFunction": "average", "groupByKeys": keys}
