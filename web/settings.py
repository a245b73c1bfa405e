"""Settings of the web app: defaults < ``discovery.toml`` < environment < command line."""

from __future__ import annotations

import getpass
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from discovery.errors import ConfigError

LOCAL_HOST = "127.0.0.1"
ENVIRONMENT_PREFIX = "DISCOVERY_"
PATH_LISTS = ("releases", "survey_roots", "known")
PATHS = ("hunts", "stamp_cache")


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """Everything that `web.app.create_app` needs to know."""

    releases: tuple[Path, ...]
    """Release folders, or folders that hold release folders."""
    hunts: Path = Path("hunts")
    """Folder of the hunt files; made when the first hunt starts."""
    survey_roots: tuple[Path, ...] = ()
    """Survey files are read only below these folders."""
    host: str = LOCAL_HOST
    """Address to listen on; any but 127.0.0.1 needs a token."""
    port: int = 8000
    """0 takes any free port."""
    token: str | None = field(default=None, repr=False)
    """What a visitor must know to get in; obligatory for any address but 127.0.0.1."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which browsers may reach the app (``Host`` header, without the port)."""
    who: str = field(default_factory=lambda: operating_system_user())
    """Name written beside each label when there is no login."""
    upload_megabytes: float = 16.0
    """Largest request body that an upload may have."""
    stamp_cache_megabytes: float = 192.0
    """Memory for rendered stamps."""
    stamp_cache: Path = field(default_factory=lambda: user_cache() / "stamps")
    """Folder where rendered stamps outlive the server; servers of one machine may share it."""
    stamp_cache_disk_megabytes: float = 2000.0
    """Disk for rendered stamps; 0 keeps none."""
    ahead: bool = True
    """Whether the next page of a hunt is made while its present one is labelled."""
    work_at_once: int = 2
    """Rounds, audits and exports that are computed at the same time; others wait for their turn."""
    known: tuple[Path, ...] = ()
    """Tables of known objects, flagged on every stamp: anything with ra and dec."""
    known_radius_arcsec: float = 2.0
    """How near an object must be to a known one to be taken for it."""


class ServeTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The table ``[serve]`` of ``discovery.toml``; relative paths count from the file's folder."""

    releases: list[str] | None = None
    hunts: str | None = None
    survey_roots: list[str] | None = None
    host: str | None = None
    port: int | None = None
    token: str | None = None
    allowed_hosts: list[str] | None = None
    who: str | None = None
    upload_megabytes: float | None = None
    stamp_cache_megabytes: float | None = None
    stamp_cache: str | None = None
    stamp_cache_disk_megabytes: float | None = None
    ahead: bool | None = None
    work_at_once: int | None = None
    known: list[str] | None = None
    known_radius_arcsec: float | None = None


class ConfigFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The whole of ``discovery.toml``."""

    serve: ServeTable = ServeTable()


def load_config(
    *, file: Path | None = None, environment: Mapping[str, str] | None = None, **command_line: Any
) -> WebConfig:
    """Join the four layers of settings and check the result.

    Parameters
    ----------
    file : Path, optional
        A ``discovery.toml``. None reads ``discovery.toml`` of the working directory when there is one.
    environment : mapping, optional
        Variables ``DISCOVERY_RELEASES``, ``DISCOVERY_TOKEN`` and so on, one for each field of `WebConfig`;
        lists are joined by the system's path separator. None reads the process's own.
    **command_line
        Fields of `WebConfig`; None means not given.

    Raises
    ------
    ConfigError
        For an unknown or ill-typed setting, a missing file, no release, or an address that needs a token.
    """
    settings = _from_file(file)
    settings |= _from_environment(os.environ if environment is None else environment)
    settings |= {name: value for name, value in command_line.items() if value not in (None, (), [])}
    settings.setdefault("releases", ())
    config = WebConfig(**{name: _as_field(name, value) for name, value in settings.items()})
    _check(config)
    return config


def operating_system_user() -> str:
    """Return the name of the user who runs this process, ``user`` when the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "user"


def user_cache() -> Path:
    """Return the folder for what this user's programs can make again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "galaxy-discovery"


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        file = Path("discovery.toml")
        if not file.is_file():
            return {}
    try:
        found = msgspec.convert(tomllib.loads(file.read_text("utf-8")), ConfigFile)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file} cannot be read ({error}): check --config") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"configuration {file}: {error}: correct that line") from error
    settings = {name: value for name, value in msgspec.structs.asdict(found.serve).items() if value is not None}
    for name in PATH_LISTS:
        if name in settings:
            settings[name] = [file.parent / path for path in settings[name]]
    for name in PATHS:
        if name in settings:
            settings[name] = file.parent / settings[name]
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (f.name for f in fields(WebConfig)):
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if not text:
            continue
        if name in (*PATH_LISTS, "allowed_hosts"):
            found[name] = [part for part in text.split(os.pathsep) if part]
        else:
            found[name] = text
    return found


def _as_field(name: str, value: Any) -> Any:
    try:
        match name:
            case "releases" | "survey_roots" | "known":
                return tuple(Path(path) for path in value)
            case "allowed_hosts":
                return tuple(str(host).lower() for host in value)
            case "hunts" | "stamp_cache":
                return Path(value)
            case "ahead" if isinstance(value, str):
                return {"1": True, "true": True, "0": False, "false": False}[value.lower()]
            case "port" | "work_at_once":
                return int(value)
            case "upload_megabytes" | "stamp_cache_megabytes" | "stamp_cache_disk_megabytes" | "known_radius_arcsec":
                return float(value)
    except (TypeError, ValueError, KeyError) as error:
        kind = "neither true nor false" if name == "ahead" else "no number"
        raise ConfigError(f"setting {name} = {value!r} is {kind}: correct it") from error
    return value


def _check(config: WebConfig) -> None:
    if not config.releases:
        raise ConfigError("no release named: give a release folder, or a folder of releases, to serve")
    if config.token is not None and not config.token.strip():
        raise ConfigError("the token is empty: give one that nobody can guess")
    if config.host not in (LOCAL_HOST, "localhost") and config.token is None:
        raise ConfigError(
            f"address {config.host} can be reached by others: give --token (or DISCOVERY_TOKEN), "
            f"or stay with {LOCAL_HOST}"
        )
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"port {config.port} does not exist: choose one from 0 to 65535")
    if config.work_at_once < 1:
        raise ConfigError(f"work_at_once is {config.work_at_once}: allow at least 1 piece of work")
    for path in config.known:
        if not path.is_file():
            raise ConfigError(f"the table of known objects {path} does not exist: check the path")
    if config.upload_megabytes <= 0 or min(config.stamp_cache_megabytes, config.stamp_cache_disk_megabytes) < 0:
        raise ConfigError(
            "upload_megabytes must be above 0, stamp_cache_megabytes and stamp_cache_disk_megabytes at least 0"
        )
