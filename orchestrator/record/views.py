"""Saved views of a study in MLflow's UI: its verdicts, its cells by method and split, and each cell's curves.

MLflow has no call that saves a view. A view is a tag of the experiment that holds the state of the runs page,
as MLflow's own UI writes it. `tests/integration/test_ui.py` opens the views in a browser.
"""

import json
from typing import Any

from stats.names import ARMS, DIFF_METRICS

ORDER_TAG = "order"  # of a cell's run: by split, method and seed, the baselines last
VIEW_TAG = "mlflow.sharedViewState."  # followed by the view's name
VERDICTS_VIEW, GROUPED_VIEW, CELLS_VIEW = "verdicts", "methods-and-splits", "cells"
# Tag -> width in pixels; a verdict and its change fit on a screen. The other tags are on the page of its run.
VERDICT_TAGS = {"evidence": 84, "change_evidence": 120, "label": 92, "change": 96}
VERDICT_METRICS = tuple(f"{of}/{name}" for of in ("change", "diff") for name in ("pp", "low", "high"))
METRIC_WIDTH = 78
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
    columns = [f"params.`{name}`" for name in label_columns] + [f"metrics.`{name}`" for name in DIFF_CHARTS]
    curves = [_curve_chart(metric) for metric in CURVE_METRICS]
    bars = [{**_chart(name), "type": "BAR", "displayName": name, "metricKey": name} for name in DIFF_CHARTS]
    return {
        "searchFilter": "tags.kind = 'cell' and tags.plan = 'present'",
        "orderByKey": f"tags.`{ORDER_TAG}`",
        "orderByAsc": True,
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
    columns = [*tags, *metrics]  # a run's name is its method and split
    bars = [
        {**_chart(name), "type": "BAR", "displayName": name, "metricKey": name}
        for name in ("diff/pp", "change/pp")
    ]
    return {
        "searchFilter": "tags.kind = 'verdict'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {"attributes.`Run Name`": 140}
        | dict(zip(tags, VERDICT_TAGS.values(), strict=True))
        | dict.fromkeys(metrics, METRIC_WIDTH),
        "compareRunCharts": bars,
        "compareRunSections": [{"uuid": CHART_SECTION, "name": "Diffs and changes", "display": True}],
        "isAccordionReordered": True,
    }


def _curve_chart(metric: str) -> dict[str, Any]:
    """Return one chart of a metric of both arms over the steps."""
    keys = [f"{arm}/{metric}" for arm in ARMS]
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
    keys = [{"mode": "param", "groupByData": label} for label in labels]
    return {"aggregateFunction": "average", "groupByKeys": keys}
