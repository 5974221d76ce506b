"""An extension of the API pages that reads this package's docstrings as they are meant."""

import re
from typing import Any

from griffe import Extension, Function, Object

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")
RETURNS = re.compile(r"^(Returns:\n +)", re.MULTILINE)
EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Docstrings(Extension):
    """Change docstrings before their sections are parsed.

    Roles (``:func:`read` ``) become code, and an example becomes a section of its own. A colon in
    the text of a return value does not end a type: the annotation is put before it.
    """

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if not obj.docstring:
            return
        text = EXAMPLE.sub("Examples:", ROLE.sub(r"`\1`", obj.docstring.value))
        if isinstance(obj, Function) and obj.returns is not None:
            annotation = str(obj.returns)
            text = RETURNS.sub(lambda match: f"{match[1]}{annotation}: ", text)
        obj.docstring.value = text
