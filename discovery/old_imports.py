"""Modules under the names that they had before they moved, for notebooks and scripts that use them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "discovery.encoder": "discovery.encoders.encoder",
    "discovery.prompts": "discovery.search.prompts",
    "discovery.render": "discovery.stamps.render",
    "discovery.hunts.audit": "discovery.hunts.audits.audit",
    "discovery.hunts.audit_log": "discovery.hunts.audits.audit",
    "discovery.hunts.audit_report": "discovery.hunts.audits.report_text",
    "discovery.hunts.stopping": "discovery.hunts.stoppers",
}
"""Old name: new name, for the modules that a published README, guide or notebook has named."""


class _Forward(Loader):
    """Loads a module that hands out what another one has."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Return None: the module is an ordinary one."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Make the module answer with the names of the one that took its place."""
        target = importlib.import_module(MOVED[module.__name__])

        def forward(name: str) -> Any:
            return getattr(target, name)

        vars(module).update(__getattr__=forward, __doc__=target.__doc__)


class OldImports(MetaPathFinder):
    """Finds the modules of `MOVED`."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how a moved module is loaded; None for any other."""
        return ModuleSpec(fullname, _Forward()) if fullname in MOVED else None


def accept_old_imports() -> None:
    """Let the import system find moved modules; a second call changes nothing."""
    if not any(isinstance(finder, OldImports) for finder in sys.meta_path):
        sys.meta_path.append(OldImports())
