"""TensorBoard: event files in RUN/tensorboard. `tensorboard --logdir runs` shows all runs."""

from collections.abc import Mapping

from charlm.sinks.sink import SinkRun

FLUSH_SECONDS = 10  # it is looked at while the run goes on


class TensorBoard:
    """Writes event files; where a run went back, TensorBoard hides what was written of later."""

    def __init__(self, run: SinkRun) -> None:
        self._directory = run.directory / "tensorboard"
        self._open(None if run.step is None else run.step + 1)

    def _open(self, purge_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            str(self._directory), purge_step=purge_step, flush_secs=FLUSH_SECONDS
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def go_back(self, step: int) -> None:
        """Begin another event file, which takes back what comes after the step."""
        self._writer.close()
        self._open(step + 1)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
