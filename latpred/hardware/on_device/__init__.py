"""Scripts that are copied to devices; they need nothing of latpred."""

from __future__ import annotations
