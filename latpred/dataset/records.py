"""The records of sessions: what was known about the machine and the process, written once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latpred.config import canonical_json, write_new
from latpred.errors import DatasetError

RECORD_KEYS = ("session_id", "started_at", "environment")
"""What the record of a session must have."""


def write_record(folder: Path, record: Mapping[str, Any]) -> str:
    """Write the record of a new session to `folder`, and return the session's id.

    Raises:
        DatasetError: If the record is malformed, or there is one of that session already.
    """
    session_id = _checked(record)
    target = folder / f"{session_id}.json"
    try:
        write_new(target, canonical_json(dict(record)))
    except FileExistsError:
        raise DatasetError(str(target), "expected a new session, found its record", "Take another id") from None
    except (TypeError, ValueError) as error:
        where = f"record of session {session_id}"
        raise DatasetError(where, f"expected plain JSON values, found: {error}", "Write them as text") from None
    return session_id


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records in `folder`, sorted by session id.

    Raises:
        DatasetError: If one cannot be read, naming its file.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            _checked(record)
        except (OSError, ValueError, DatasetError) as error:
            problem = f"expected the record of a session, got: {str(error).rstrip('.')}"
            raise DatasetError(str(path), problem, "Restore the file from a copy") from None
        records.append(record)
    return records


def _checked(record: Mapping[str, Any]) -> str:
    """Return the id of a session whose record has all that it must have."""
    found = sorted(record) if isinstance(record, Mapping) else [type(record).__name__]
    if not isinstance(record, Mapping) or any(key not in record for key in RECORD_KEYS):
        problem = f"expected the keys {', '.join(RECORD_KEYS)}, found {', '.join(found) or 'none'}"
        raise DatasetError("session record", problem, "Add what is missing")
    session_id = record["session_id"]
    if not isinstance(session_id, str) or not re.fullmatch(r"\w[\w.-]*", session_id, re.ASCII):
        problem = f"expected a session_id of letters, digits, '_', '.', '-', found {session_id!r}"
        raise DatasetError("session record", problem, "Take Dataset.next_session_id()")
    return session_id
