"""The notebook in docs/ runs from its first cell to its last, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

nbformat = pytest.importorskip("nbformat", reason="the notebook extra is absent")
nbclient = pytest.importorskip("nbclient", reason="the notebook extra is absent")
pytest.importorskip("anywidget", reason="the notebook extra is absent")

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "hunt.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def notebook() -> Any:
    """The notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_stored_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)


def test_it_runs(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output.data for output in outputs if "data" in output]
    assert sum(WIDGET in data for data in shown) == 1 and sum("image/png" in data for data in shown) == 1
    told = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "round 2: " in told and "completeness: " in told
    assert "'differs'" not in str(shown[-1]) and "(1, 'same'), (2, 'same')" in shown[-1]["text/plain"]
    (folder,) = tmp_path.glob("hunt-*")
    assert (folder / "mergers.csv").read_text().startswith("rank,row,object_id")
    assert (folder / "mergers.provenance.json").is_file()
