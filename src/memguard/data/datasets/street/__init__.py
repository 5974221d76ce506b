"""The dataset "street": a generated street scene, which needs no download.

A fixed camera looks down on a promenade between lawns, with a path across it. People walk by,
alone or in pairs, in rushes; a tree sways, clouds pass, the sensor is noisy. The test videos also
show cyclists, delivery carts, runners, people who fall and lie on the ground, and people who walk
across the lawn. `generate` writes::

    street/
        train/01.mp4 …      people on the promenade and the path alone
        test/01.mp4 …
        labels.csv          video,start,end: 0-based frames, both ends inclusive
        masks/01.npz …      masks: bool (frames, height, width), the anomalous pixels
        tracks/01.txt …     track,frame,x_min,y_min,x_max,y_max: the box of each event
        street.json         seed, version, lengths and kinds of event; written last
"""

from memguard.data.datasets.street.dataset import street
from memguard.data.datasets.street.film import STREET, Plan, Video, generate, is_complete

__all__ = ["STREET", "Plan", "Video", "generate", "is_complete", "street"]
