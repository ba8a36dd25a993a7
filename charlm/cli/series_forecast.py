"""Forecast a series: the rows that follow its end, as CSV, with a band that holds 80 % of them."""

import argparse
import json

from charlm.errors import UsageError

LEVELS = "0.1,0.9"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a directory that series train wrote")
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="rows to go on from (default: the model's series)"
    )
    parser.add_argument(
        "--horizon", type=int, metavar="N", help="rows ahead (default: as many as were judged)"
    )
    parser.add_argument(
        "--levels",
        type=_levels,
        metavar="X,X",
        help=f"quantiles, for a model of distributions (default {LEVELS})",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=0,
        metavar="N",
        help="ways it might go, as columns (default 0)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the samples (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the series' end, the forecast and its band"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the forecast."""
    if arguments.samples < 0:
        raise UsageError(f"--samples must be 0 or more, not {arguments.samples}")
    if arguments.plot is not None:
        from charlm.evaluation.plots import require_matplotlib

        require_matplotlib()
    from charlm.series.handle import load

    model = load(arguments.model)
    horizon = model.config["horizon"] if arguments.horizon is None else arguments.horizon
    found = model.forecast(
        horizon,
        data=arguments.file,
        samples=arguments.samples,
        **({} if arguments.levels is None else {"levels": arguments.levels}),
        seed=arguments.seed,
    )
    if arguments.plot is not None:
        from charlm.series.pictures import write_forecast_plot

        write_forecast_plot(arguments.plot, model, found, arguments.file)
    print(json.dumps(found.to_json()) if arguments.json else found.to_csv(), end="")
    if arguments.json:
        print()
    return 0


def _levels(words: str) -> tuple[float, ...]:
    """Read levels of quantiles."""
    try:
        return tuple(float(word) for word in words.split(",")) if words else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{words}' are no levels, such as {LEVELS}") from None
