"""Enums whose values are stored in records and events."""

from __future__ import annotations

from enum import StrEnum


class StoredEnum(StrEnum):
    """An enum that keeps values that it does not know.

    A later version of Slipway may have written them, and its records and events stay readable.
    """

    @classmethod
    def _missing_(cls, value: object) -> StoredEnum | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member
