"""Prometheus reads the status of each camera."""

from prometheus_client.parser import text_string_to_metric_families

from memguard.live.page.metrics import metrics
from tests.live.page.scene import a_status


def values(text: bytes, camera: str) -> dict[str, float]:
    """The values of a camera; the state's by its name."""
    families = text_string_to_metric_families(text.decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.labels.get("state", sample.name.removeprefix("memguard_camera_")): sample.value
        for sample in samples
        if sample.labels["camera"] == camera
    }


def test_each_camera_has_its_gauges_counters_and_state() -> None:
    door = a_status("door")
    quoted = a_status('the "back"\n', state="outage", score=None, recalibrate=True)
    text = metrics([door, quoted])
    assert values(text, "door") == {
        "connecting": 0, "watching": 1, "outage": 0, "outside hours": 0, "ended": 0,
        "refreshed_timestamp_seconds": door.refreshed.timestamp(), "frames_per_second": 5,
        "score": 0.8, "alarm_level": 4.6, "lag_seconds": 0.2, "hourly_median_score": 0.1,
        "recalibrate": 0, "frames_total": 1200, "dropped_frames_total": 3, "torn_frames_total": 2,
        "events_total": 1, "held_back_notifications_total": 4,
    }  # fmt: skip
    back = values(text, 'the "back"\n')
    assert "score" not in back
    assert (back["outage"], back["watching"], back["recalibrate"]) == (1, 0, 1)
