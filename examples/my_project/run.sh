#!/bin/sh
# Train, resume, evaluate, score a video, and sweep, each into a folder of its own.
set -eu
mine='hydra.searchpath=[pkg://my_project.conf]'
runs=runs/$(date +%Y-%m-%d_%H-%M-%S)
checkpoints=$runs/trained/checkpoints

python -m memguard.train "$mine" experiment=mine "hydra.run.dir=$runs/trained"
python -m memguard.train "$mine" experiment=mine "hydra.run.dir=$runs/resumed" \
    "checkpoint=$checkpoints/epoch03.ckpt"
python -m memguard.evaluate "$mine" 'callbacks=[test,best_f1]' "hydra.run.dir=$runs/evaluated" \
    "checkpoint=$checkpoints/last.ckpt" trust=my_project
python -m memguard.score "hydra.run.dir=$runs/scored" \
    "checkpoint=$checkpoints/last.ckpt" trust=my_project video=data/discs/test/1
python -m memguard.train -m "$mine" experiment=mine "hydra.sweep.dir=$runs/sweep" \
    memory.nearest=1,3 optimized_metric=test/best_f1
