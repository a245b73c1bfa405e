"""The page about settings: ``[serve]`` of discovery.toml, and the variables of the environment."""

from __future__ import annotations

from docstrings import field_meanings, field_table

from web.settings import ENVIRONMENT_PREFIX, WebConfig

VARIABLES = {
    "XDG_CACHE_HOME": "Folder of what can be made again, such as rendered stamps; ~/.cache where it is not set.",
    "OMP_NUM_THREADS": "Threads of one process's arithmetic; torch, FAISS and BLAS read it.",
    "CUDA_VISIBLE_DEVICES": "GPUs that a process may use; torch and Ray read it.",
    "RAY_ADDRESS": "The Ray cluster that --engine ray joins where --address is not given; Ray reads it.",
}


def page() -> str:
    """Return the page."""
    variables = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())
    return f"""# Configuration

`discovery serve` takes its settings from the command line, else from the environment, else from the table `[serve]` of
`discovery.toml`, else from the defaults. An unknown setting in the file is an error.

## discovery.toml

Relative paths count from the folder of the file.

{field_table(WebConfig)}

## Environment

Every setting above is also the variable `{ENVIRONMENT_PREFIX}NAME` with its name in capitals, such as `{ENVIRONMENT_PREFIX}TOKEN`;
the parts of a list are joined as in `PATH`. Beside them:

| variable | meaning |
| --- | --- |
{variables}
"""


def undocumented() -> list[str]:
    """Return the settings without a meaning."""
    return sorted(set(WebConfig.__dataclass_fields__) - set(field_meanings(WebConfig)))
