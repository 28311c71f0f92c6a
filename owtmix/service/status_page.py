"""The status page: the jobs of the service, as HTML without anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from urllib.parse import quote

from owtmix.base.plain_text import plain_line
from owtmix.service.envelope import plain_number
from owtmix.service.jobs import Job, Revision

MOST_JOBS: Final = 200
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""The page loads nothing and runs no script, whatever stands in it."""

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2330 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .7rem; vertical-align: top }
th { border-bottom: 2px solid #c8cfda } td { border-bottom: 1px solid #e3e7ee }
.state { border-radius: .7rem; padding: .05rem .6rem; background: #e3e7ee }
.running { background: #cdeed4 } .stopping { background: #fbe9b7 } .interrupted { background: #f8cfcf }
pre { background: #f4f6f9; padding: 1rem; overflow: auto } .quiet { color: #667 }
@media (prefers-color-scheme: dark) {
  body { background: #14181f; color: #dde3ec } td { border-color: #2b323e } th { border-color: #4a5566 }
  pre { background: #1d232d } .state { color: #14181f } a { color: #8ab4f8 }
}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of a job that runs: its streams, and how far its mix is."""

    streams: Callable[[Job], Sequence[Mapping[str, Any]]]
    progress: Callable[[Job], Mapping[str, Any]]


def jobs_page(jobs: Sequence[Job], seen: Seen, now_us: int, *, draining: bool) -> str:
    """A row for each of ``jobs``."""
    head = "<tr><th>Job<th>Room<th>State<th>Streams<th>Mix<th>Began<th>Restarts<th>Note</tr>"
    rows = "".join(
        f"<tr><td><a href='jobs/{quote(job.id)}'>{_text(job.id)}</a><td>{_text(job.room)}<td>{_state(job)}"
        f"<td>{len(seen.streams(job)) if job.is_live else ''}<td>{_mix(job, seen)}<td>{_time(job.began_us)}"
        f"<td>{job.restarts or ''}"
        f"<td>{_text(job.reason)}</tr>"
        for job in jobs
    )
    table = f"<table>{head}{rows}</table>" if jobs else "<p>There are no jobs yet.</p>"
    note = "<p><b>The service is shutting down: no job is begun.</b></p>" if draining else ""
    quiet = f"<p class=quiet>{_time(now_us)}, newest first. <a href='metrics'>Metrics</a></p>"
    return _page("Jobs", f"<h1>Jobs</h1>{note}{table}{quiet}")


def job_page(job: Job, revisions: Sequence[Revision], seen: Seen, now_us: int) -> str:
    """All that is known of ``job``, without its secrets."""
    current = seen.streams(job) if job.is_live else ()
    progress = seen.progress(job) if job.is_live else {}
    changes = "".join(
        f"<tr><td>{_time(one.at_us)}<td>{_text(one.action)}<td>{_text(one.user) or '<span class=quiet>anybody</span>'}"
        f"<td>{_text(', '.join(one.data))}</tr>"
        for one in revisions
    )
    config = json.dumps(job.in_force, indent=2, ensure_ascii=False, default=plain_number)
    return _page(
        job.id,
        f"<p><a href='../'>All jobs</a></p><h1>{_text(job.id)}</h1>"
        f"<p>{_state(job)} room {_text(job.room)} of {_text(job.app)}, began {_time(job.began_us) or 'never'}"
        f"{', ' + _text(job.reason) if job.reason else ''}</p>"
        f"{_table('Mix', [progress['Mix']] if progress else ())}{_table('Pushed to', progress.get('Pushes', ()))}"
        f"{_list('Mix', job.result.get('mix', ()))}"
        f"{_table('Streams', current)}{_table('Files', job.result.get('files', ()))}"
        f"{_table('Left out', job.result.get('left_out', ()))}{_list('Uploaded', job.result.get('uploaded', ()))}"
        f"{_list('Compose the room', [one for one in [job.result.get('compose')] if one])}"
        f"<h2>Changes</h2><table><tr><th>When<th>Action<th>Who<th>Sections</tr>{changes}</table>"
        f"<h2>In force</h2><pre>{_text(config, lines=True)}</pre><p class=quiet>{_time(now_us)}</p>",
    )


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with a row for each of ``rows``; nothing without any."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{_text(name)}" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{_text(_short(row.get(name)))}' for name in names)}</tr>" for row in rows)
    return f"<h2>{title}</h2><table><tr>{head}</tr>{body}</table>"


def _list(title: str, texts: Sequence[str]) -> str:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{_text(text)}' for text in texts)}</ul>" if texts else ""


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{_text(title)} - owtmix</title><style>{_STYLE}</style>{body}</html>"
    )


def _mix(job: Job, seen: Seen) -> str:
    """How far a mix is."""
    if not job.is_live or not (progress := seen.progress(job)):
        return ""
    mix = progress["Mix"]
    return f"{mix['done_s']:.0f} s, {mix['behind_s']:.1f} s behind"


def _state(job: Job) -> str:
    return f"<span class='state {job.state}'>{job.state}</span>"


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _text(text: str, *, lines: bool = False) -> str:
    return escape(text if lines else plain_line(text))


def _time(at_us: int | None) -> str:
    return "" if at_us is None else f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
