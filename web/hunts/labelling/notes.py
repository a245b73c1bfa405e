"""Notes on the objects of a hunt."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.hunts import Hunt
from web.layout.text_format import day_and_time


@dataclass(frozen=True, kw_only=True)
class NoteView:
    """A note on an object."""

    text: str
    who: str
    when: str


@dataclass(frozen=True, kw_only=True)
class NotesFragment:
    """The notes on one object, the oldest first; also the answer to a new one."""

    row: int
    notes: tuple[NoteView, ...]


def notes_view(hunt: Hunt, row: int) -> NotesFragment:
    """Return the notes on the object of a row."""
    return NotesFragment(row=row, notes=notes_by_row(hunt).get(row, ()))


def notes_by_row(hunt: Hunt) -> dict[int, tuple[NoteView, ...]]:
    """Return the notes on the objects of this release by row, the oldest first."""
    notes: dict[int, tuple[NoteView, ...]] = {}
    for note in hunt.notes():
        if note.row is not None:
            view = NoteView(text=note.text, who=note.who, when=day_and_time(note.when))
            notes[note.row] = (*notes.get(note.row, ()), view)
    return notes
