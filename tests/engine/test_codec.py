"""What bot and engine say to each other comes as it was said, and nothing else comes at all."""

import json
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from typing import Any, get_args

import pytest

from engine.messages import (
    AdapterUse,
    BrokenMessage,
    Cancel,
    Cancelled,
    CannotStart,
    CheckpointSaved,
    ClipScore,
    Described,
    DescribePicture,
    EngineSettings,
    Event,
    Example,
    Failed,
    FlaggedPolicy,
    Idle,
    ImportLora,
    Inspect,
    Inspected,
    JobId,
    LoraImported,
    LoraScores,
    LorasMerged,
    MergeLoras,
    Paint,
    Painted,
    Picture,
    PictureNote,
    Prior,
    Progress,
    Ratio,
    Ready,
    Request,
    Sampler,
    SearchCandidate,
    SearchLoras,
    Sha256,
    Shutdown,
    Size,
    StepStarted,
    StopTraining,
    ToBot,
    ToEngine,
    Train,
    Trained,
    TrainingProgress,
    TrainingSettings,
    Variant,
)

JOB, HASH = JobId("k3f9qa"), Sha256("a" * 64)
INK = AdapterUse(name="ink", sha256=HASH, weight=-0.1)
OTHER = AdapterUse(name="maria", sha256=Sha256("b" * 64))
LESSON = Train(
    job=JOB,
    name="maria",
    examples=(Example(sha256=HASH, name="a.png", caption="ein 🌟\n"),),
    trigger="ohwx",
    settings=TrainingSettings(blocks=("mid", "up.0"), prior=Prior.PREDICTION, learning_rate=1e-7),
    prompts=("a fox",),
    resume=HASH,
)
REQUESTS: tuple[Request, ...] = (
    Paint(job=JOB, prompt='"quoted" \\ 星', seed=2**63 - 1, size=Size(width=64, height=128), adapters=(INK,)),
    Paint(
        job=JOB,
        prompt="a fox",
        seed=0,
        size=Ratio(across=3, down=2),
        sampler=Sampler.DPM_2M_KARRAS,
        variants=(Variant(name="with", adapters=(INK,)), Variant(name="without")),
        flagged=FlaggedPolicy.REFUSE,
    ),
    LESSON,
    Inspect(training=LESSON),
    StopTraining(job=JOB),
    ImportLora(job=JOB, name="ink", sha256=HASH),
    MergeLoras(job=JOB, name="both", parts=(INK, OTHER), prompt="a fox"),
    DescribePicture(job=JOB, picture=HASH),
    SearchLoras(
        job=JOB,
        words="a fox",
        candidates=(SearchCandidate(picture=None, words="fox", clip="x", vector=b"\0\xff"),),
    ),
    Cancel(job=JOB),
    Shutdown(),
)
EVENTS: tuple[Event, ...] = (
    Ready(model="demo", device="cpu", precision="float32", side=128, has_refiner=True, seconds=0.1),
    CannotStart(reason="no model."),
    StepStarted(jobs=(JOB, JobId("other")), deadline=float("inf")),
    Idle(),
    Progress(job=JOB, step=1, steps=30, preview=bytes(range(256))),
    Painted(
        job=JOB,
        pictures=tuple(
            Picture(png=bytes([n]) * 9, seed=n, width=8, height=8, flagged=n == 1) for n in range(4)
        ),
        seconds=1 / 3,
        scores=(ClipScore(name="ink", clip=None), ClipScore(name="maria", clip=27.5)),
    ),
    Inspected(
        job=JOB,
        sheet=b"jpeg",
        notes=(
            PictureNote(
                name="a.png", width=9, height=8, crop=(1, 0, 8, 8), size=(8, 8), problems=("blurred",)
            ),
        ),
        problems=(),
        steps=500,
        seconds=60.0,
    ),
    LoraImported(
        job=JOB,
        sha256=HASH,
        form="PEFT",
        phrase="",
        tokens=0,
        rank=8,
        modules=722,
        text_encoders=False,
        size=9,
        picture=b"",
    ),
    LorasMerged(
        job=JOB,
        name="both",
        sha256=HASH,
        rank=8,
        modules=722,
        tokens=0,
        size=9,
        error=0.0,
        apart=1,
        picture=b"one",
        sheet=b"other",
    ),
    Described(job=JOB, captions=("a star",)),
    LoraScores(job=JOB, candidates=(SearchCandidate(picture=HASH, words=""),), scores=(None,)),
    TrainingProgress(job=JOB, step=0, steps=9, phase="learning", loss=float("nan")),
    CheckpointSaved(
        job=JOB,
        step=9,
        adapter=None,
        state=HASH,
        validation=0.5,
        losses=(0.1, 1e-300),
        samples=(b"", b"png"),
    ),
    Trained(job=JOB, best=1, candidates=(1, 2), step=2, seconds=9.0),
    Failed(job=JOB, reason="\ud800 is half a letter.", expected=True),
    Cancelled(job=JOB),
)


@contextmanager
def ends() -> Iterator[tuple[ToEngine, ToBot]]:
    bot_socket, engine_socket = socket.socketpair()
    with closing(ToEngine(bot_socket.detach())) as bot, closing(ToBot(engine_socket.detach())) as engine:
        yield bot, engine


def test_every_message_is_among_these() -> None:
    assert {type(message) for message in REQUESTS} == set(get_args(Request))
    assert {type(message) for message in EVENTS} == set(get_args(Event))


def test_all_comes_as_it_was_said() -> None:
    with ends() as (bot, engine):
        bot.send(EngineSettings(model="demo", compile=True))
        assert engine.receive_settings() == EngineSettings(model="demo", compile=True)
        for request in REQUESTS:
            bot.send(request)
            assert engine.receive() == request
        for event in EVENTS:
            engine.send(event)
            assert repr(bot.receive()) == repr(event)  # of which "not a number" equals itself


PROGRESS = ["Progress", "k3f9qa", 1, 30, 0]


@pytest.mark.parametrize(
    "said",
    [
        ["Progress", "k3f9qa", "1", 30, 0],
        ["Progress", "k3f9qa", True, 30, 0],
        ["Progress", "k3f9qa", 1.0, 30, 0],
        ["Progress", None, 1, 30, 0],
        ["Progress", "k3f9qa", 1, 30, 1],  # there is one part beside it
        ["Progress", "k3f9qa", 1, 30, -1],
        ["Progress", "k3f9qa", 1, 30, "preview"],
        ["Progress", "k3f9qa", 1, 30],
        [*PROGRESS, 0],
        ["progress", *PROGRESS[1:]],
        ["Shutdown"],  # which only the bot says
        ["EngineSettings", "demo"],
        ["StepStarted", "k3f9qa", 1.0],
        ["StepStarted", ["k3f9qa", None], 1.0],
        ["Painted", "k3f9qa", [PROGRESS], 1.0, []],
        ["Painted", "k3f9qa", [["Picture", 0, 7, 8, 8, "no"]], 1.0, []],
        ["Inspected", "k3f9qa", 0, [["PictureNote", "a", 1, 1, [0, 0, 1], [1, 1], [], True]], [], 1, 1.0],
        {"Progress": PROGRESS},
        [],
        [[]],
        "Progress",
        None,
    ],
)
def test_an_event_that_is_none_is_refused(said: Any) -> None:
    expect_refusal(json.dumps(said).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, pickle.dumps(Idle())])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    expect_refusal(text)


def test_the_same_well_said_is_taken() -> None:
    with raw(json.dumps(PROGRESS).encode()) as bot:
        assert bot.receive() == Progress(job=JOB, step=1, steps=30, preview=b"jpeg")


def test_a_request_out_of_its_range_is_refused_on_the_way_too() -> None:
    with ends() as (bot, engine):
        send_raw(bot.fileno(), json.dumps(["ImportLora", "k3f9qa", "../ink", HASH, ""]).encode(), 0)

        with pytest.raises(BrokenMessage, match="The LoRA name"):
            engine.receive()


def expect_refusal(text: bytes) -> None:
    with raw(text) as bot, pytest.raises(BrokenMessage, match="no message"):
        bot.receive()


@contextmanager
def raw(text: bytes) -> Iterator[ToEngine]:
    """The bot's end, where this came with one part beside it."""
    with ends() as (bot, engine):
        send_raw(engine.fileno(), text, 1)
        yield bot


def send_raw(number: int, text: bytes, beside: int) -> None:
    with Connection(os.dup(number)) as connection:
        connection.send_bytes(beside.to_bytes(4, "big") + text)
        for _ in range(beside):
            connection.send_bytes(b"jpeg")
