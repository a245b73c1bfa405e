"""What a run reports while it goes: lines for people, JSON lines for programs, curves for TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from discovery.errors import ConfigError


class RunLog:
    """One aligned line a step on standard error, JSON lines and TensorBoard files; all from the first process alone.

    Parameters
    ----------
    step, steps : int
        Where the run stands, and its end; lines after ``step`` in ``metrics.jsonl`` are of a run that was killed, and go.
    every : int
        Steps between lines.
    first : bool
        Whether this is the process that writes.
    """

    def __init__(self, run: Path, step: int, steps: int, every: int, first: bool) -> None:
        self.run, self.step, self.steps, self.every, self.first = run, step, steps, every, first
        self.began = time.monotonic()

    def __enter__(self) -> RunLog:
        if self.first:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ConfigError("Training writes TensorBoard files: install the train extra, galaxy-discovery[train].") from None
            path = self.run / "metrics.jsonl"
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            path.write_text("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step))
            self.lines = path.open("a")
            self.board = SummaryWriter(str(self.run / "tensorboard"), purge_step=self.step + 1)
        return self

    def __exit__(self, *failure: object) -> None:
        if self.first:
            self.lines.close()
            self.board.close()

    def write(self, step: int, values: dict[str, float], due: bool) -> None:
        """Write the figures of a step, if its turn has come or it is ``due``."""
        if not self.first or not (due or step % self.every == 0):
            return
        self.lines.write(json.dumps({"step": step, **values}) + "\n")
        self.lines.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        left = (time.monotonic() - self.began) / (step - self.step) * (self.steps - step)
        width = len(str(self.steps))
        shown = "  ".join(f"{name} {value:<9.4g}" for name, value in values.items() if name not in ("wait", "seconds"))
        wait = f"wait {100 * values['wait']:4.1f} %"
        print(f"step {step:{width}d}/{self.steps}  {shown}  {wait}  left {_clock(left)}", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
