"""Which runs read texts."""

from collections.abc import Sequence

from kerasapps.data.text_classes import TextClassCodec
from kerasapps.errors import UserError

from ..shared.runs import SavedRun


def text_run(saved: SavedRun | None, texts: Sequence[str]) -> bool:
    """Returns whether a run reads texts.

    Raises:
        UserError: If it does and there are none, or does not and there are.
    """
    reads = saved is not None and isinstance(saved.codec, TextClassCodec)
    if reads and not texts:
        raise UserError(f'{saved.folder} is a run of texts: give one, --text "...".')
    if texts and not reads:
        raise UserError("--text is for a run of text classification, and --run is none.")
    return reads
