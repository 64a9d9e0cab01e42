"""Shows the example of a docstring as code: Google's style calls the section Examples."""

import re

import griffe


class Examples(griffe.Extension):
    """Renames the section before it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Is called with each module, class and function."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
