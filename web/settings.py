"""Settings of the web app: defaults < ``discovery.toml`` < environment < command line."""

from __future__ import annotations

import getpass
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict, Env

from discovery.errors import ConfigError

LOCAL_HOST = "127.0.0.1"
ENVIRONMENT_PREFIX = "DISCOVERY_"
SETTINGS_FILE = Path("discovery.toml")
TABLE = "serve"
PATH_LISTS = ("releases", "survey_roots", "known")
PATHS = ("hunts", "stamp_cache")


def _parts(kind: Any, text: str, delimiter: str | None = None) -> list[str]:
    """Return the parts of a variable, which are joined as in PATH."""
    return [part for part in text.split(os.pathsep) if part]


SEVERAL = Parameter(negative="", env_var_split=_parts)
"""An option that can be given several times."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """Everything that `web.app.create_app` needs to know: options, ``[serve]`` of discovery.toml and DISCOVERY_NAME alike."""

    releases: Annotated[tuple[Path, ...], SEVERAL] = field(default=(), kw_only=False)
    """Release folders, or folders that hold release folders."""
    hunts: Path = Path("hunts")
    """Folder of the hunt files; made when the first hunt starts."""
    survey_roots: Annotated[tuple[Path, ...], Parameter(name=["--survey-roots", "--survey-root"]), SEVERAL] = ()
    """Survey files are read only below these folders; give it once for each."""
    host: str = LOCAL_HOST
    """Address to listen on; any but 127.0.0.1 needs a token."""
    port: int = 8000
    """Port to listen on; 0 takes any free one."""
    token: str | None = field(default=None, repr=False)
    """What a visitor must know to get in; obligatory for any address but 127.0.0.1. Better given in the environment, since others see command lines."""
    allowed_hosts: Annotated[tuple[str, ...], Parameter(name=["--allowed-hosts", "--allowed-host"]), SEVERAL] = ()
    """Further names under which browsers may reach the app (``Host`` header, without the port); give it once for each."""
    who: Annotated[str, Parameter(show_default=False)] = field(default_factory=lambda: operating_system_user())
    """Name written beside each label when there is no login; the system's user by default."""
    upload_megabytes: float = 16.0
    """Largest request body that an upload may have."""
    stamp_cache_megabytes: float = 192.0
    """Memory for rendered stamps."""
    stamp_cache: Annotated[Path, Parameter(show_default=False)] = field(default_factory=lambda: user_cache() / "stamps")
    """Folder where rendered stamps outlive the server; in the user's cache folder by default. Servers of one machine may share it."""
    stamp_cache_disk_megabytes: float = 2000.0
    """Disk for rendered stamps; 0 keeps none."""
    ahead: bool = True
    """Whether the next page of a hunt is made while the one on screen is labelled."""
    work_at_once: int = 2
    """Rounds, audits and exports that are computed at the same time; others wait for their turn."""
    known: Annotated[tuple[Path, ...], SEVERAL] = ()
    """Table of known objects, flagged on every stamp: anything with ra and dec (CSV, FITS, VOTable, Parquet); give it once for each."""
    known_radius_arcsec: Annotated[float, Parameter(name=["--known-radius-arcsec", "--known-radius"])] = 2.0
    """How near an object must be to a known one to be taken for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_hosts", tuple(host.lower() for host in self.allowed_hosts))
        if not self.releases:
            raise ConfigError("no release named: give a release folder, or a folder of releases, to serve")
        if self.token is not None and not self.token.strip():
            raise ConfigError("the token is empty: give one that nobody can guess")
        if self.host not in (LOCAL_HOST, "localhost") and self.token is None:
            raise ConfigError(
                f"address {self.host} can be reached by others: give --token (or DISCOVERY_TOKEN), or stay with {LOCAL_HOST}"
            )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} does not exist: choose one from 0 to 65535")
        if self.work_at_once < 1:
            raise ConfigError(f"work_at_once is {self.work_at_once}: allow at least 1 job")
        if missing := [path for path in self.known if not path.is_file()]:
            raise ConfigError(f"the table of known objects {missing[0]} does not exist: check the path")
        if self.upload_megabytes <= 0 or min(self.stamp_cache_megabytes, self.stamp_cache_disk_megabytes) < 0:
            raise ConfigError(
                "upload_megabytes must be above 0, stamp_cache_megabytes and stamp_cache_disk_megabytes at least 0"
            )


class Environment(Env):
    """The layer of variables; an empty variable counts as not given."""

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give each option without a value that of its variable."""
        super().__call__(app, commands, arguments)
        for argument in arguments:
            argument.tokens[:] = [token for token in argument.tokens if token.value or token.source != self.source]


def settings_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give each option without a value that of ``[serve]`` in the file that --config names, else in discovery.toml.

    Raises
    ------
    ConfigError
        If the file cannot be read, or holds an unknown table or setting.
    """
    named = [token.value for token in arguments.match("--config")[0].tokens]
    if named or SETTINGS_FILE.is_file():
        file = Path(named[-1]) if named else SETTINGS_FILE
        layer = Dict({TABLE: _table(file)}, source=str(file), root_keys=(TABLE,), use_commands_as_keys=False)
        layer(app, commands, arguments)


LAYERS: list[Callable[[App, tuple[str, ...], ArgumentCollection], Any]] = [Environment(ENVIRONMENT_PREFIX, command=False), settings_file]
"""What fills the options that the command line leaves open, the first before the second."""


def operating_system_user() -> str:
    """Return the name of the user who runs this process, ``user`` when the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "user"


def user_cache() -> Path:
    """Return the folder for what this user's programs can make again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "galaxy-discovery"


def _table(file: Path) -> dict[str, Any]:
    """Return the table ``[serve]`` of a file, its relative paths counted from the file's folder."""
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file} cannot be read ({error}): check --config") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration {file}: {error}: correct that line") from error
    if unknown := sorted(content.keys() - {TABLE}):
        raise ConfigError(f"configuration {file} has an unknown table [{unknown[0]}]: settings stand in [{TABLE}]")
    table = content.get(TABLE, {})
    if not isinstance(table, dict):
        raise ConfigError(f"configuration {file}: {TABLE} must be a table: write [{TABLE}]")
    known = [one.name for one in fields(WebConfig)]
    if unknown := sorted(table.keys() - set(known)):
        raise ConfigError(f"configuration {file} has an unknown setting {unknown[0]} in [{TABLE}]: there are {', '.join(known)}")
    return {name: _from_folder(file, name, value) for name, value in table.items()}


def _from_folder(file: Path, name: str, value: Any) -> Any:
    """Return a setting's value as the options take it."""
    if name in PATHS:
        return str(file.parent / str(value))
    if name in PATH_LISTS:
        return [str(file.parent / str(path)) for path in (value if isinstance(value, list) else [value])]
    return value
