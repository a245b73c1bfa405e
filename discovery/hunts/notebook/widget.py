"""A hunt in a notebook cell: the same rounds, labels, audit and export as on the web page, by the same functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discovery.errors import DiscoveryError, HuntError
from discovery.hunts.audits.report_text import text_lines
from discovery.hunts.log.validation import checked_person
from discovery.hunts.notebook.widget_state import labels_state, page_state

try:
    import traitlets
    from anywidget import AnyWidget
except ImportError as missing:
    raise HuntError("the widget needs the notebook extra: pip install 'galaxy-discovery[notebook]'") from missing

if TYPE_CHECKING:
    from discovery.hunts.actions import HuntActions
    from discovery.search.known_objects import KnownRows

FOLDER = Path(__file__).parent


class HuntWidget(AnyWidget):
    """The grid of a hunt's latest round, with keys; what `Hunt.widget` returns.

    A label is on the disk before its stamp takes a colour. What goes wrong is shown in the widget.

    Parameters
    ----------
    hunt : Hunt
        What to play.
    who : str
        Who labels.
    known : KnownRows, optional
        Known objects (`discovery.search.known_objects.find_known`): flagged on their stamps and in exports.
    new_only : bool
        Leave known objects out of the rounds and exports.

    Attributes
    ----------
    page, labels : dict
        What is shown (traits that travel to the browser): the round with its pictures; verdicts, counts, history.
    """

    _esm = FOLDER / "widget.js"
    _css = FOLDER / "widget.css"
    page = traitlets.Dict().tag(sync=True)
    labels = traitlets.Dict().tag(sync=True)

    def __init__(
        self, hunt: HuntActions, who: str, *, known: KnownRows | None = None, new_only: bool = False
    ) -> None:
        if new_only and known is None:
            raise HuntError("new_only needs known objects: pass known=find_known(release, [read_known(FILE)])")
        self._hunt, self._who, self._known, self._new_only = hunt, checked_person(who), known, new_only
        self._reported: list[str] = []
        self._actions: dict[str, Callable[..., str]] = {
            "label": self._label,
            "note": self._note,
            "undo": self._undo,
            "next": self._next,
            "audit": self._audit,
            "report": self._report,
            "export": self._export,
        }
        super().__init__(
            page=page_state(hunt, hunt.round(), known), labels=self._labels()
        )
        self.on_msg(lambda _widget, message, _buffers: self._act(message))

    def _act(self, message: dict[str, Any]) -> None:
        """Do what the browser requests, and answer when it is done, or why it is not."""
        call = message.pop("call", None)
        self._reported = []  # an earlier report no longer holds
        try:
            outcome = self._actions[message.pop("do")](**message)
            self.labels = self._labels()
        except DiscoveryError as problem:
            self.send({"call": call, "error": str(problem)})
        except Exception as problem:
            self.send({"call": call, "error": f"this is a fault of the program: {problem!r}"})
            raise
        else:
            self.send({"call": call, "done": outcome})

    def _label(self, row: int, verdict: Any, negative_class: str) -> str:
        self._hunt.label(row, verdict, who=self._who, negative_class=negative_class)
        return ""

    def _note(self, row: int, text: str) -> str:
        self._hunt.note(row, text, self._who)
        return ""

    def _undo(self, event: int | None) -> str:
        undone = self._hunt.undo(self._who, event)
        return f"event {undone.undid} undone: {undone.object_id} is {undone.verdict}"

    def _next(self, after: int) -> str:
        """Play the round after the one shown, unless somebody else has: then that one is shown."""
        played = self._hunt.next_round(self._who, after=after, without=self._known if self._new_only else None)
        self.page = page_state(self._hunt, played, self._known)
        return ""

    def _audit(self, labels: int) -> str:
        drawn = self._hunt.draw_audit(labels, who=self._who)
        return f"{len(drawn.rows)} stamps drawn: they come with the next rounds, marked audit"

    def _report(self) -> str:
        """Show how much has been found by the audits; it takes a ranking of the whole release."""
        self._reported = text_lines(self._hunt.report())
        return ""

    def _labels(self) -> dict[str, Any]:
        return labels_state(self._hunt.state(), self._reported)

    def _export(self, file: str, top: str, min_score: str, stamps: bool) -> str:
        path = Path(file).expanduser()
        table = self._hunt.export(
            path,
            top=_number(top, int, "ranked rest"),
            min_score=_number(min_score, float, "score"),
            stamps=path.with_suffix("") if stamps else None,
            known=self._known,
            new_only=self._new_only,
        )
        return f"{path}: {table.num_rows} objects"


def _number(text: str, kind: type[int] | type[float], name: str) -> Any:
    if not str(text).strip():
        return None
    try:
        return kind(text)
    except ValueError:
        raise HuntError(f"{name} is {text!r}: give a number, or leave it empty") from None
