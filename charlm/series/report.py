"""Scores of a series model as a table for people, and its model card."""

from typing import Any

TITLES = {"persistence": "persistence", "seasonal_naive": "seasonal naive", "drift": "drift"}
COLUMNS = ("rmse", "mae", "mase", "closed_loop_rmse", "closed_loop_mase")
MEASURES = ("mae", "closed_loop_mae")

CARD = """---
library_name: charlm
tags: [time-series, recurrent, {cell}]
---

# {name}

A {layers}-layer {cell} network of {parameters:,} parameters that predicts the next row of a numeric
series ({columns}), trained by charlm {version} on `{corpus}`: {train:,} rows to learn from,
{valid:,} to steer by, {test:,} to be judged on.

{scores}

    charlm series forecast {name} --horizon {horizon}
    charlm series eval {name}
"""


def scores_table(scores: dict[str, Any]) -> str:
    """Show what `Scores.to_json` gave: the network beside what needs no learning, and a verdict."""
    rows = [["", "RMSE", "MAE", "MASE", f"RMSE {scores['horizon']:,} ahead", "MASE ahead"]]
    naive = dict(TITLES)
    if scores["season"] == 1:
        del naive["seasonal_naive"]  # the same as persistence
    for title, errors in [("network", scores), *((naive[n], scores[n]) for n in naive)]:
        rows.append([title, *(_shown(errors[name]) for name in COLUMNS)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if scores.get("crps") is not None:
        lines.append(
            f"distribution: CRPS {scores['crps']:.4g}; {_percent(scores['coverage'])} of the "
            f"values lie in the band for 80 % ({_percent(scores['closed_loop_coverage'])} in "
            "closed loop)"
        )
    if scores.get("by_column"):
        lines.append("errors are means over the columns; --json has each")
    season = f", season of {scores['season']:,} rows" if scores["season"] > 1 else ""
    many = f"{scores['origins']:,} origin" + ("s" if scores["origins"] != 1 else "")
    lines.append(
        f"on {scores['rows']:,} rows, one ahead; {scores['horizon']:,} ahead from {many}{season}"
    )
    return "\n".join(lines + verdict(scores))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def verdict(scores: dict[str, Any]) -> list[str]:
    """Say in sentences which naive forecasts the network beats, and which it does not."""
    lines = []
    for name, title in TITLES.items():
        if name == "seasonal_naive" and scores["season"] == 1:
            continue
        found, told = scores["verdicts"][name], f"MAE {scores['mae']:.4g} against"
        told += f" {scores[name]['mae']:.4g}"
        if found == "even":
            lines.append(f"one step ahead the network does not beat {title} clearly: {told}")
        elif found == "worse":
            lines.append(f"one step ahead the network is worse than {title}: {told}")
        mine, theirs = scores["closed_loop_mae"], scores[name]["closed_loop_mae"]
        if mine is not None and theirs is not None and mine > theirs:
            lines.append(
                f"{scores['horizon']:,} steps ahead the network does not beat {title}: MAE "
                f"{mine:.4g} against {theirs:.4g}"
            )
    for column, errors in scores.get("by_column", {}).items():
        for name, title in TITLES.items():
            mine, theirs = errors["mase"], errors[name]["mase"]
            if mine is not None and theirs is not None and mine > theirs:
                lines.append(
                    f"column {column}: one step ahead the network does not beat {title}: MASE "
                    f"{mine:.4g} against {theirs:.4g}"
                )
    return lines or ["the network beats them all"]


def series_card(name: str, config: dict[str, Any]) -> str:
    """Write the model card."""
    parts, network, scores = config["parts"], config["network"], config["scores"]
    told = "Not judged yet." if scores is None else f"```\n{scores_table(scores)}\n```"
    return CARD.format(
        name=name,
        layers=network["num_layers"],
        cell=network["cell"],
        parameters=config["parameters"],
        columns=", ".join(config["series"]["columns"][:10]),
        version=config["charlm_version"],
        corpus=config["run"]["corpus"],
        train=parts["train"],
        valid=parts["valid"] - parts["train"],
        test=parts["total"] - parts["valid"],
        horizon=config["horizon"],
        scores=told,
    )
