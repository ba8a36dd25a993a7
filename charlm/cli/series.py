"""Commands for sequences of numbers: a wave, a price, a temperature."""

from charlm.cli import series_eval, series_forecast, series_train, series_tune

HELP = "predict sequences of numbers"
COMMANDS = {
    "train": series_train,
    "eval": series_eval,
    "forecast": series_forecast,
    "tune": series_tune,
}
