"""The status of each camera, as Prometheus reads it."""

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memguard.live.page.status import CameraStatus, State

CONTENT_TYPE = CONTENT_TYPE_LATEST
GAUGES: dict[str, tuple[str, Callable[[CameraStatus], float | None]]] = {
    "refreshed_timestamp_seconds": ("Time of these values", lambda c: c.refreshed.timestamp()),
    "frames_per_second": ("Scored frames per second, over the last seconds", lambda c: c.fps),
    "score": ("Score of the last frame", lambda c: c.score),
    "alarm_level": ("Score above which there is an alarm", lambda c: c.level),
    "lag_seconds": ("Time from the capture of the last frame to its score", lambda c: c.lag),
    "hourly_median_score": ("Median score of the last hour", lambda c: c.drift),
    "recalibrate": ("1 if this median is far from the calibrated one", lambda c: c.recalibrate),
}
COUNTERS: dict[str, tuple[str, Callable[[CameraStatus], float]]] = {
    "frames": ("Scored frames", lambda c: c.frames),
    "dropped_frames": ("Frames dropped to catch up", lambda c: c.dropped),
    "torn_frames": ("Damaged frames, which are not scored", lambda c: c.torn),
    "events": ("Events", lambda c: c.events),
    "held_back_notifications": ("Notifications held back by their limits", lambda c: c.held_back),
}


def metrics(cameras: Sequence[CameraStatus]) -> bytes:
    """Write the status of all cameras in the text format of Prometheus.

    Each metric is ``memguard_camera_…`` with the label ``camera``. An unknown value is left out.
    """
    return generate_latest(_Cameras(cameras))


class _Cameras(Collector):
    """Collect the metrics of cameras."""

    def __init__(self, cameras: Sequence[CameraStatus]) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its values."""
        yield self._states()
        for name, (meaning, value_of) in GAUGES.items():
            gauge = GaugeMetricFamily(f"memguard_camera_{name}", meaning, labels=["camera"])
            yield self._filled(gauge, value_of)
        for name, (meaning, count_of) in COUNTERS.items():
            counter = CounterMetricFamily(f"memguard_camera_{name}", meaning, labels=["camera"])
            yield self._filled(counter, count_of)

    def _states(self) -> Metric:
        states = GaugeMetricFamily(
            "memguard_camera_state", "1 for the camera's state, else 0", labels=["camera", "state"]
        )
        for camera in self._cameras:
            for state in get_args(State):
                states.add_metric([camera.name, state], float(state == camera.state))
        return states

    def _filled(
        self,
        family: GaugeMetricFamily | CounterMetricFamily,
        value_of: Callable[[CameraStatus], float | None],
    ) -> Metric:
        for camera in self._cameras:
            if (value := value_of(camera)) is not None:
                family.add_metric([camera.name], float(value))
        return family
