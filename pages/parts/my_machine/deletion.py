"""Deleting a machine."""

from __future__ import annotations

from asd_core.data.table import KnownSet


def delete_button(known: KnownSet | None) -> None:
    """Offer to delete it."""
