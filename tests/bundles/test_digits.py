"""The digits models over HTTP: the official test split scores what each bundle's metrics say."""

from __future__ import annotations

import base64
import json

import pytest

from service.manifest import read_manifest
from tests.bundles.some import serving_some
from tests.http.payloads import predict_path
from tests.servers import REPOSITORY
from training.data.fetching import given_or_cached
from training.data.frames.fsdd import ARCHIVE_FILE, in_official_test, read_archive

ARCHIVE = given_or_cached(ARCHIVE_FILE)
AT_ONCE = 100


@pytest.mark.skipif(not ARCHIVE.exists(), reason="fsdd.zip is not in SEQSERVE_DATA_DIR")
def test_the_test_split_scores_what_the_metrics_say() -> None:
    recordings = [item for item in read_archive(ARCHIVE) if in_official_test(item)]
    assert len(recordings) == 300
    with serving_some("digits-*") as server:
        for folder in sorted(REPOSITORY.glob("digits-*/1")):
            rights = 0
            for start in range(0, len(recordings), AT_ONCE):
                chosen = recordings[start : start + AT_ONCE]
                body = {"audio": [base64.b64encode(item.body).decode() for item in chosen]}
                response = server.client.post(predict_path(folder.parent.name), json=body)
                assert response.status_code == 200, response.text
                rights += sum(
                    answer["label"] == str(item.digit)
                    for answer, item in zip(response.json()["predictions"], chosen, strict=True)
                )
            metrics = json.loads((folder / "metrics.json").read_text())
            assert rights / len(recordings) == pytest.approx(metrics["test"]["accuracy"], abs=1e-9)
            quality = read_manifest(folder).quality.model_dump()
            assert quality["test_accuracy"] == metrics["test"]["accuracy"]
