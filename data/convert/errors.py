# SPDX-License-Identifier: MIT
"""The one exception of the converter: a message for people and an exit status."""

from __future__ import annotations


class ConvertError(Exception):
    """Ends a run with one line on stderr; `status` is 2 for usage, 3 for unusable data."""

    def __init__(self, message: str, status: int = 3) -> None:
        super().__init__(message)
        self.status = status
