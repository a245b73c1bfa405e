"""``discovery serve``: the web app in front of some releases."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from discovery.errors import ConfigError
from web.settings import WebConfig, load_config

if TYPE_CHECKING:
    import uvicorn
    from litestar import Litestar

log = logging.getLogger(__name__)


def serve(
    *releases: Path,
    hunts: Path | None = None,
    survey_root: Annotated[list[Path] | None, Parameter(negative="")] = None,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    allowed_host: Annotated[list[str] | None, Parameter(negative="")] = None,
    who: str | None = None,
    known: Annotated[list[Path] | None, Parameter(negative="")] = None,
    known_radius_arcsec: Annotated[float | None, Parameter(name="--known-radius")] = None,
    work_at_once: int | None = None,
    stamp_cache: Path | None = None,
    config: Path | None = None,
) -> None:
    """Serve releases and hunts to a browser, until interrupted.

    Settings come from these options, else from the environment (DISCOVERY_TOKEN and so on), else from
    discovery.toml, else from the defaults.

    Parameters
    ----------
    releases
        Release folders, or folders that hold some.
    hunts
        Folder of the hunt files (default: hunts).
    survey_root
        Folder below which survey files may be read; give it once for each folder.
    host
        Address to listen on (default 127.0.0.1). Any other needs a token.
    port
        Port to listen on (default 8000; 0 takes any free one).
    token
        What visitors must know. Better given as DISCOVERY_TOKEN, since others see command lines.
    allowed_host
        Further name under which browsers reach the server; give it once for each name.
    who
        Name written beside labels when there is no login (default: the system's user).
    known
        Table of known objects (ra and dec; CSV, FITS, VOTable, Parquet) that are flagged on their stamps; give it once
        for each table.
    known_radius_arcsec
        How near an object must be to a known one to be taken for it (default 2 arcsec).
    work_at_once
        Rounds, audits and exports that are computed at the same time; others wait for their turn (default 2).
    stamp_cache
        Folder of rendered stamps (default: in the user's cache folder; stamp_cache_disk_megabytes of discovery.toml bounds it).
    config
        Configuration file (default: discovery.toml, if there is one).
    """
    settings = load_config(
        file=config,
        releases=releases,
        hunts=hunts,
        survey_roots=survey_root,
        host=host,
        port=port,
        token=token,
        allowed_hosts=allowed_host,
        who=who,
        known=known,
        known_radius_arcsec=known_radius_arcsec,
        work_at_once=work_at_once,
        stamp_cache=stamp_cache,
    )
    run_server(settings)


def run_server(config: WebConfig) -> None:
    """Serve until interrupted; the address is printed once the port is held.

    Raises
    ------
    ConfigError
        If the address cannot be used.
    """
    import dataclasses

    from web.app import create_app

    listening = open_socket(config.host, config.port)
    port = listening.getsockname()[1]
    app = create_app(dataclasses.replace(config, port=port))
    if not config.survey_roots:
        log.warning("No survey folder is named, so no stamps can be shown: give --survey-root.")
    shown = f"[{config.host}]" if ":" in config.host else config.host
    print(f"Serving on http://{shown}:{port} (stop with Ctrl-C)", flush=True)
    with listening:
        make_server(app).run(sockets=[listening])


def make_server(app: Litestar) -> uvicorn.Server:
    """Return the server for an app: quiet, believing no proxy's headers."""
    import uvicorn

    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=30
    )
    return uvicorn.Server(settings)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    ConfigError
        If it is taken or not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port} ({error.strerror}): choose another --port or --host") from error
    listening.listen(128)
    return listening
