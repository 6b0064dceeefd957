"""trains the demo model, or says how good it is

`train OUT` writes a checkpoint and goes on with one that is there; `sight OUT` prepares one for the qualities; `evaluate CHECKPOINT` asks about pictures that were never trained on.
The modules import torch and transformers, so they are loaded when they are needed.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="train|sight|evaluate")

    train = commands.add_parser("train", help="write a checkpoint, or go on with one")
    train.add_argument("out", type=Path, help="directory of the checkpoint, its optimiser and its curve")
    train.add_argument("--start", type=Path, help="a checkpoint to start from, where OUT has none yet")
    train.add_argument("--minutes", type=float, default=120, help="of processor time, over all runs with this OUT (default: 120); the learning rate falls over them")
    train.add_argument("--learning-rate", type=float, default=1.5e-3)
    train.add_argument("--eye-rate", type=float, default=1.0, help="the vision tower's learning rate as a share of that: 0.2 keeps what `sight` taught (default: 1)")
    train.add_argument("--pictures", type=int, default=8, help="in a step of one process (default: 8)")
    train.add_argument("--questions", type=int, default=5, help="about each picture (default: 5)")
    train.add_argument("--quality-share", type=float, default=0.2, help="share of the pictures that are frames of known quality (default: 0.2)")
    train.add_argument("--small-frames", type=int, default=48, help="every second step is about so many small frames of known quality; 0 for none (default: 48)")
    train.add_argument("--remember", type=int, default=0, help="draw so many batches once and train only the decoder on them: half the time a step (default: 0, all anew)")
    train.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one for each core")
    train.add_argument("--bfloat16", action="store_true", help="vision tower in bfloat16 and compiled: half its time on processors with AMX; needs a C++ compiler")
    train.add_argument("--seed", type=int, default=1000, help="default: 1000; evaluation draws from seeds that training cannot have")
    train.set_defaults(command=_train)

    sight = commands.add_parser("sight", help="let the vision tower of a checkpoint see the qualities, before `train` teaches the words for them")
    sight.add_argument("out", type=Path, help="directory of the new checkpoint")
    sight.add_argument("--start", type=Path, required=True, help="a checkpoint that boxes already; its soft tokens are the teacher")
    sight.add_argument("--minutes", type=float, default=20, help="of processor time (default: 20)")
    sight.add_argument("--learning-rate", type=float, default=2e-3)
    sight.add_argument("--bfloat16", action="store_true", help="as in `train`")
    sight.add_argument("--seed", type=int, default=1000, help="default: 1000")
    sight.set_defaults(command=_sight)

    evaluate = commands.add_parser("evaluate", help="figures on pictures that were never trained on")
    evaluate.add_argument("checkpoint", type=Path)
    evaluate.add_argument("--scenes", type=int, default=300, help="and as many frames of known quality (default: 300)")
    evaluate.add_argument("--newlines", action="store_true", help="put the image between blank lines, as transformers.js does")
    evaluate.add_argument("--json", type=Path, help="write the figures to this file, too")
    evaluate.set_defaults(command=_evaluate)


def _train(arguments: argparse.Namespace) -> None:
    from gemscope.onnx_export.demo.train import Plan, train

    train(
        Plan(
            out=arguments.out,
            start=arguments.start,
            minutes=arguments.minutes,
            learning_rate=arguments.learning_rate,
            eye_rate=arguments.eye_rate,
            pictures=arguments.pictures,
            questions_each=arguments.questions,
            quality_share=arguments.quality_share,
            small_frames=arguments.small_frames,
            remember=arguments.remember,
            processes=arguments.processes,
            bfloat16=arguments.bfloat16,
            seed=arguments.seed,
        )
    )


def _sight(arguments: argparse.Namespace) -> None:
    from gemscope.onnx_export.demo.sight import Plan, train_sight

    train_sight(Plan(arguments.out, arguments.start, arguments.minutes, arguments.learning_rate, arguments.bfloat16, arguments.seed))


def _evaluate(arguments: argparse.Namespace) -> None:
    from gemscope.onnx_export.demo.evaluate import evaluate

    figures = evaluate(arguments.checkpoint, arguments.scenes, arguments.newlines)
    for name, value in figures.items():
        print(f"{name:24} {value:.4g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
