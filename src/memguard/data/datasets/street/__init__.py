"""The embedded dataset "street": a generated street scene, so that nothing need be downloaded.

A fixed camera looks down on a promenade between lawns, with a path across it. People walk by,
alone or in pairs, in rushes; a tree sways, clouds pass, the sensor is noisy. In the test videos
there are, besides, cyclists, delivery carts, runners, someone who falls and lies on the ground,
and someone who walks across the lawn. `generate` writes::

    street/
        train/01.mp4 …      nothing but people who walk where people walk
        test/01.mp4 …
        labels.csv          video,start,end: 0-based frames, both ends inclusive
        masks/01.npz …      masks: bool (frames, height, width), what is out of place
        street.json         seed, version, lengths and kinds of event; written last
"""

from memguard.data.datasets.street.dataset import street
from memguard.data.datasets.street.film import STREET, Plan, Video, generate, is_complete

__all__ = ["STREET", "Plan", "Video", "generate", "is_complete", "street"]
