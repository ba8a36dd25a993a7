"""What a model says of the rows to come, and how it is written down.

Legend: H rows ahead, C columns, Q levels, S samples.
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Forecast:
    """The rows that come next.

    times:     of the rows, or +1, +2 where the series has no even clock
    names:     of the columns
    points:    (H, C), the single best guess: of a model of points each is made from the one before;
               of a model of distributions it is the median of many ways that the series might go
    levels:    (Q,) of the quantiles; none of a model that predicts points
    quantiles: (H, C, Q)
    samples:   (S, H, C), ways that it might go
    """

    times: tuple[str, ...]
    names: tuple[str, ...]
    points: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray
    samples: np.ndarray

    def to_frame(self) -> Any:  # noqa: ANN401
        """Give a pandas DataFrame, one row for each time and one column for each number."""
        import pandas

        header, rows = self._table()
        return pandas.DataFrame(
            {name: [row[n] for row in rows] for n, name in enumerate(header[1:], 1)},
            index=pandas.Index(self.times, name=header[0]),
        )

    def to_csv(self) -> str:
        """Write it as CSV, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        header, rows = self._table()
        writer.writerow(header)
        writer.writerows([row[0], *(f"{number:.7g}" for number in row[1:])] for row in rows)
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return {
            "times": list(self.times),
            "columns": {
                name: {
                    "point": self.points[:, c].tolist(),
                    "quantiles": {
                        f"{level:g}": self.quantiles[:, c, q].tolist()
                        for q, level in enumerate(self.levels)
                    },
                    "samples": self.samples[:, :, c].tolist(),
                }
                for c, name in enumerate(self.names)
            },
        }

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        header, columns = ["time"], [list(self.times)]
        for c, name in enumerate(self.names):
            header.append(name)
            columns.append(self.points[:, c].tolist())
            for q, level in enumerate(self.levels):
                header.append(f"{name} {100 * level:g}%")
                columns.append(self.quantiles[:, c, q].tolist())
            for s, sample in enumerate(self.samples, 1):
                header.append(f"{name} sample {s}")
                columns.append(sample[:, c].tolist())
        return header, [list(row) for row in zip(*columns, strict=True)]
