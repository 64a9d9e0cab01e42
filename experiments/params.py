"""`--params`: builder arguments from a file or from the command line."""

import json
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError
from kerasapps.runs import read_json


def read_params(params: str | None) -> dict[str, Any]:
    """Reads builder arguments from a file that `search` wrote, or from JSON as it is typed."""
    if params is None:
        return {}
    if not params.lstrip().startswith("{"):
        values = read_json(Path(params))
        if not isinstance(values, dict):
            raise UserError(f"{params} holds no JSON object, from argument to value.")
        return values
    try:
        return json.loads(params)
    except ValueError as error:
        raise UserError(f"--params is not valid JSON: {error}. Received: {params}") from None
