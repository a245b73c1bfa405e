"""``discovery serve``: the web app in front of some releases."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from discovery.errors import ConfigError
from web.settings import LAYERS, WebConfig

if TYPE_CHECKING:
    import uvicorn
    from litestar import Litestar

log = logging.getLogger(__name__)


app = App(name="serve", config=LAYERS)


@app.default
def serve(settings: WebConfig | None = None, *, config: Path | None = None) -> None:
    """Serve releases and hunts to a browser, until interrupted.

    Settings come from these options, else from the environment, else from discovery.toml, else from the defaults.

    Parameters
    ----------
    config
        Configuration file; discovery.toml in the folder that the program is started in, if there is one, by default.
    """
    run_server(settings or WebConfig())


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
