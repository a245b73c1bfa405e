"""Draw ``architecture.svg``: programs on the library, the files they meet through, and four flows through them."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1060, 560
BOXES = {
    # name: (x, y, width, height, title, lines, colour)
    "files": (20, 40, 150, 92, "survey files", ("FITS, HDF5,", "pictures, bricks"), "#e8edf3"),
    "readers": (200, 40, 150, 92, "readers/", ("one Survey protocol:", "Stamp or Damaged"), "#dcebdd"),
    "stamps": (380, 40, 150, 92, "stamps/", ("crop, stretch, resize:", "one path for all"), "#dcebdd"),
    "encoders": (560, 40, 150, 92, "encoders/", ("stamps in,", "unit vectors out"), "#dcebdd"),
    "index": (740, 40, 130, 92, "index/ (program)", ("segments, shards,", "FAISS, catalogue"), "#f6e6d2"),
    "release_files": (900, 40, 140, 92, "release folder", ("manifest, shards,", "index, DuckDB"), "#e8edf3"),
    "training": (560, 190, 150, 76, "training/ (program)", ("pretrain, finetune,", "evaluate, export"), "#f6e6d2"),
    "release": (900, 190, 140, 92, "release/", ("open_release,", "catalogue, filters,", "neighbours/"), "#dcebdd"),
    "search": (740, 320, 130, 92, "search/", ("Query, prompts,", "hits, outliers"), "#dcebdd"),
    "hunts": (380, 320, 300, 92, "hunts/", ("log (events) -> HuntState -> round:", "candidates, model, chooser -> page;", "audits, export, transfer"), "#dcebdd"),
    "hunt_file": (380, 460, 150, 72, "hunt file", ("one SQLite log,", "only added to"), "#e8edf3"),
    "web": (20, 320, 150, 92, "web/ (program)", ("pages and JSON:", "skins of one action"), "#f6e6d2"),
    "shell": (20, 460, 150, 72, "discovery ...", ("verbs, notebooks,", "scripts"), "#f6e6d2"),
    "exports": (560, 460, 150, 72, "exports", ("FITS, VOTable,", "Parquet, csv"), "#e8edf3"),
}
ARROWS = [
    ("files", "readers", ""), ("readers", "stamps", ""), ("stamps", "encoders", ""), ("encoders", "index", ""),
    ("index", "release_files", ""), ("release_files", "release", "mapped"), ("training", "encoders", "checkpoint"),
    ("release", "search", "filter"), ("search", "hunts", "prompt"), ("hunts", "hunt_file", "label"), ("hunts", "exports", ""),
    ("web", "hunts", "actions"), ("shell", "hunts", ""),
]  # fmt: skip


def svg() -> str:
    """Return the drawing."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    parts += [_arrow(*arrow) for arrow in ARROWS]
    parts += [_box(*box) for box in BOXES.values()]
    return "\n".join([*parts, "</svg>\n"])


def _box(x: int, y: int, width: int, height: int, title: str, lines: tuple[str, ...], colour: str) -> str:
    texts = "".join(
        f'<text x="{x + 10}" y="{y + 42 + 16 * number}" fill="#333">{escape(line)}</text>' for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{colour}" stroke="#889"/>'
        f'<text x="{x + 10}" y="{y + 22}" font-weight="bold">{escape(title)}</text>{texts}'
    )


def _arrow(source: str, target: str, label: str) -> str:
    (x1, y1), (x2, y2) = _ends(BOXES[source][:4], BOXES[target][:4])
    text = f'<text x="{(x1 + x2) / 2 + (0 if y1 == y2 else 8)}" y="{(y1 + y2) / 2 - 6 * (y1 == y2)}" text-anchor="{"middle" if y1 == y2 else "start"}" fill="#a03" font-size="11">{label}</text>' if label else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#444" stroke-width="1.4" marker-end="url(#tip)"/>{text}'


def _ends(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where the line between two boxes leaves the first and meets the second."""
    centre = [(x + width / 2, y + height / 2) for x, y, width, height in (one, other)]
    return _border(one, centre[0], centre[1]), _border(other, centre[1], centre[0])


def _border(box: tuple[int, ...], centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    scale = min(box[2] / 2 / abs(dx) if dx else 1e9, box[3] / 2 / abs(dy) if dy else 1e9)
    return round(centre[0] + dx * scale, 1), round(centre[1] + dy * scale, 1)


if __name__ == "__main__":
    (Path(__file__).parent / "architecture.svg").write_text(svg())
