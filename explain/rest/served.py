"""Which models REST offers: bundled ones, configured ones, and the folders directly below the models root.

A name is looked up in that list; it never becomes a path by itself. What is not in the list is not found, whatever
lies on the disk under that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explain import bundled
from explain.errors import ModelError
from explain.settings import Settings

SHOWN = 8
"""Names that a sentence lists."""


@dataclass(frozen=True)
class Named:
    """A model by the name that clients use, and by the one that the loader takes."""

    name: str
    source: str


class Served:
    """The models of one application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def names(self) -> list[str]:
        """Names that may be asked for, the default first."""
        found = [*bundled.names(), *self.settings.served, *self._folders()]
        default = self.default
        return sorted(dict.fromkeys(found), key=lambda name: name != default)

    @property
    def default(self) -> str:
        """The model of a request that names none; by its name here where it was set as the path of a folder."""
        chosen = self.settings.model
        place = Path(chosen).absolute().resolve()  # by whichever links it was named
        same = (name for name, folder in self._folders().items() if folder.resolve() == place)
        return next(same, chosen)

    @property
    def first(self) -> str:
        """What the loader takes for the default: the same as a request for it asks for, if any may."""
        try:
            return self.find(None).source
        except ModelError:
            return self.settings.model

    def find(self, name: str | None) -> Named:
        """The model of this name (None: the default); raises ModelError, code model_not_found."""
        name = self.default if name is None else name
        if name in bundled.names() or name in self.settings.served:
            return Named(name, name)
        if folder := self._folders().get(name):
            return Named(name, str(folder))
        known = self.names()
        some = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
        raise ModelError(
            f"There is no such model here. There are: {some}. Others are offered by EXPLAIN_MODELS_ROOT (a folder of "
            "models) or EXPLAIN_SERVED (Hub ids), where the service is started.",
            code="model_not_found",
        )

    def _folders(self) -> dict[str, Path]:
        """Folders with a config.json whose real place is below the root: a link out of it is none."""
        if self.settings.models_root is None:
            return {}
        try:
            root = self.settings.models_root.resolve(strict=True)
            inside = sorted(p for p in root.iterdir() if (p / "config.json").is_file())
        except OSError:
            return {}
        return {p.name: p for p in inside if p.resolve().is_relative_to(root)}
