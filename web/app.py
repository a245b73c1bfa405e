"""The application, assembled from its features."""

from __future__ import annotations

import hashlib
import socket
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from litestar_htmx import HTMXPlugin
from markupsafe import Markup

from discovery.errors import DiscoveryError
from web.access.middleware import CSRF_FIELD, AccessMiddleware, check_csrf
from web.access.sessions import Sessions
from web.hunts import hunt_list, start, summary
from web.hunts.audits import api as audit_api
from web.hunts.audits import pages as audits
from web.hunts.exports import pages as exports
from web.hunts.history import pages as history
from web.hunts.labelling import api as label_api
from web.hunts.labelling import pages as labels
from web.hunts.page import api as round_api
from web.hunts.page import pages as hunt_page
from web.hunts.rounds.next_pages import NextPages
from web.hunts.settings import pages as hunt_settings
from web.hunts.visitor_actions import provide_actions
from web.jobs.queue import JobQueue
from web.layout.problems import answer_discovery_error, answer_http_error, answer_unexpected
from web.layout.text_format import count, plural
from web.login import pages as login
from web.objects import pages as objects
from web.releases import pages as releases
from web.search import api, upload_pages
from web.search import pages as search
from web.search.form import provide_search_form
from web.search.uploads import Uploads
from web.settings import LOCAL_HOST, WebConfig
from web.stamps import stamps
from web.stamps.picture_files import PictureFiles
from web.stamps.pictures import PictureCache
from web.workspace.known_tables import KnownTables
from web.workspace.workspace import Workspace

HERE = Path(__file__).parent
MEGABYTE = 1_000_000
LOCAL_NAMES = (LOCAL_HOST, "localhost", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::")

PAGES = [
    releases.releases_page, search.search_page, search.save_hits, search.save_query, upload_pages.take_upload,
    upload_pages.upload_picture,
    objects.object_page, stamps.stamp_picture,
    hunt_list.hunts_page, start.start_hunt, hunt_page.hunt_page, hunt_page.hunt_work, hunt_page.next_round,
    labels.give_label, labels.undo_label, labels.write_note, history.history_page, history.disagreements_page,
    hunt_settings.change_rules, exports.export_hunt,
    audits.audit_page, audits.audit_brief, audits.audit_work, audits.draw, audits.count_again,
    login.login_page, login.sign_in, login.sign_out,
]  # fmt: skip
CALLS = [
    api.read_session, api.list_releases, api.search_release,
    summary.list_hunts, summary.read_hunt, round_api.make_round, round_api.latest_round, round_api.read_work,
    label_api.add_label, label_api.take_back, label_api.read_notes, label_api.add_note,
    history.read_history, history.read_disagreements, audit_api.read_audit, audit_api.draw_sample, hunt_settings.change_settings,
]  # fmt: skip


def create_app(config: WebConfig) -> Litestar:
    """Return the app for these settings.

    Raises
    ------
    ConfigError
        If a release folder does not exist or holds no release, or a folder cannot be written.
    """
    known = KnownTables(config.known, config.known_radius_arcsec)
    workspace = Workspace(releases=config.releases, hunts=config.hunts, survey_roots=config.survey_roots, known=known)
    sessions = Sessions.create(token=config.token, port=config.port, who=config.who)
    taken_uploads, pictures = Uploads(), PictureCache(int(config.stamp_cache_megabytes * MEGABYTE), picture_files(config))
    jobs = JobQueue(config.work_at_once)
    next_pages = NextPages(jobs, pictures, ahead=config.ahead)
    environment = template_environment()
    app = Litestar(
        route_handlers=[
            Router("/", route_handlers=[*PAGES, *CALLS]),  # at once: two handlers of one path may not come one by one
            create_static_files_router("/static", [HERE / "static"], include_in_schema=False),
        ],
        dependencies={
            "workspace": Provide(lambda: workspace, sync_to_thread=False),
            "sessions": Provide(lambda: sessions, sync_to_thread=False),
            "uploads": Provide(lambda: taken_uploads, sync_to_thread=False),
            "pictures": Provide(lambda: pictures, sync_to_thread=False),
            "jobs": Provide(lambda: jobs, sync_to_thread=False),
            "next_pages": Provide(lambda: next_pages, sync_to_thread=False),
            "actions": Provide(provide_actions, sync_to_thread=True),
            "search_form": Provide(provide_search_form, sync_to_thread=False),
        },
        state=State({"sessions": sessions}),
        before_request=check_csrf,
        on_shutdown=[next_pages.close, jobs.close],
        exception_handlers={
            DiscoveryError: answer_discovery_error,
            HTTPException: answer_http_error,
            Exception: answer_unexpected,
        },
        request_max_body_size=int(config.upload_megabytes * MEGABYTE),
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment)),
        plugins=[HTMXPlugin()],
        openapi_config=OpenAPIConfig(
            title="galaxy discovery", version="1", path="/schema", use_handler_docstrings=True, render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])]
        ),
        logging_config=None,
        debug=False,
    )
    refused = environment.get_template("access/refused.html")
    app.asgi_handler = AccessMiddleware(  # outermost, so that unknown addresses and failures pass it too
        app.asgi_handler,
        sessions=sessions,
        hosts=known_hosts(config),
        render_error=lambda status, title, text: refused.render(status=status, title=title, text=text).encode(),
    )
    return app


def picture_files(config: WebConfig) -> PictureFiles | None:
    """Return where rendered stamps outlive the server; None where they shall not.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    if not config.stamp_cache_disk_megabytes:
        return None
    return PictureFiles(config.stamp_cache, int(config.stamp_cache_disk_megabytes * MEGABYTE))


def known_hosts(config: WebConfig) -> tuple[str, ...]:
    """Return the names under which a browser may reach the app."""
    own: tuple[str, ...] = ()
    if config.host not in (LOCAL_HOST, "localhost"):
        own = (socket.gethostname(),) if config.host in ANY_ADDRESS else (config.host,)
    return (*LOCAL_NAMES, *own, *config.allowed_hosts)


def template_environment() -> Environment:
    """Return the templates: everything escaped, an unknown name an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "plural": plural}
    environment.globals["static"] = static_address
    environment.globals["csrf_field"] = csrf_field
    return environment


@cache
def static_address(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@pass_context
def csrf_field(context: Context) -> Markup:
    """Return the hidden field that every form carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, context["page"].frame.csrf)
