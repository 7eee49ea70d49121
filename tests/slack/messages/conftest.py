"""Snapshots are one JSON file per message, which can be pasted into Block Kit Builder."""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Return the snapshot as JSON."""
    return snapshot.use_extension(JSONSnapshotExtension)
