"""What people may say to /train, what is asked of them first, and what they are told when it cannot be."""

import json
from dataclasses import replace
from typing import Any

import pytest

from commands.answers import Answer, CreateJob, Form, UpdateCards
from commands.common_words import common_words
from commands.presets import presets
from commands.train import TRIGGERS
from engine.messages import (
    AdapterKind,
    Example,
    FlaggedPolicy,
    InvalidRequest,
    Optimizer,
    PartNumber,
    Prior,
    Schedule,
    Sha256,
    Train,
)
from storage.pictures import find_in_use
from tests.commands.chat import Chat

ONE, TWO, THREE = (Sha256(letter * 64) for letter in "abc")


def training_of(answer: Answer) -> Train:
    """The training that an answer asks for."""
    assert isinstance(answer, CreateJob)
    assert isinstance(answer.request, Train)
    return answer.request


async def fill_form(chat: Chat, who: str = "ana", **texts: str) -> Answer:
    """The answer to a form with what must be in it, unless a test says otherwise."""
    sent = await chat.sends(who, ONE, TWO) if "pictures" not in texts else ""
    return await chat.fills(who, "train", {"name": "mia", "consent": "true", "pictures": sent} | texts)


async def refusal_of(chat: Chat, who: str = "ana", **texts: str) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        await fill_form(chat, who, **texts)
    return str(refusal.value)


async def test_a_name_alone_opens_the_form_with_what_was_said(chat: Chat) -> None:
    form = await chat.says("ana", "/train mia --preset face --steps 200 --flip --trigger zkw")

    assert isinstance(form, Form)
    assert form.command == "train"
    assert {name: text for name, text in form.values.items() if text} == {
        "name": "mia",
        "preset": "face",
        "steps": "200",
        "flip": "true",
        "trigger": "zkw",
    }


async def test_pictures_are_called_by_what_can_be_shown_in_a_line(chat: Chat) -> None:
    pictures = json.loads(await chat.sends("ana", ONE, TWO))
    pictures[0]["name"], pictures[1]["name"] = "../a\nb\r\u2028c\u202e.png", "C:\\me\\" + "x" * 500

    answer = await fill_form(chat, pictures=json.dumps(pictures), subject="woman")

    assert [example.name for example in training_of(answer).examples] == ["abc.png", "x" * 80]


async def test_pictures_and_a_name_are_a_draft_as_the_preset_has_it(chat: Chat) -> None:
    pictures = json.loads(await chat.sends("ana", ONE, TWO))
    pictures[1]["caption"] = "  a woman on a horse "

    answer = await fill_form(chat, pictures=json.dumps(pictures), subject="woman", preset="face")

    assert isinstance(answer, CreateJob)
    assert answer.draft
    request, face = training_of(answer), presets()["face"]
    assert request.examples == (
        Example(sha256=ONE, name="aa.png"),
        Example(sha256=TWO, name="bb.png", caption="a woman on a horse"),
    )
    assert (request.name, request.trigger, request.phrase) == ("mia", "ohwx", "ohwx woman")
    assert (request.preset, request.wanted, request.template) == ("face", face.wanted, face.template)
    assert request.prompts == face.samples("ohwx", "woman")
    assert (request.settings.rank, request.settings.prior) == (32, Prior.PREDICTION)
    assert (request.settings.steps, request.author) == (500, "ana")
    view = await chat.sees(request.job)
    assert (view.state, view.request) == ("draft", replace(request, flagged=FlaggedPolicy.REFUSE))


async def test_the_small_model_is_taught_as_suits_it(chat: Chat) -> None:
    usual = training_of(await fill_form(chat)).settings
    chat.small = True

    small = training_of(await fill_form(chat, name="other")).settings

    assert small.learning_rate > usual.learning_rate


KNOBS: dict[str, tuple[str, Any]] = {
    "steps": ("700", 700),
    "rank": ("8", 8),
    "lr": ("0.0003", 3e-4),
    "epochs": ("3", 3),
    "batch": ("2", 2),
    "accumulation": ("4", 4),
    "resolution": ("512", 512),
    "feed_forward": ("true", True),
    "convolutions": ("true", True),
    "text_encoder": ("yes", True),
    "text_encoder_2": ("on", True),
    "blocks": ("down.2, MID", ("down.2", "mid")),
    "kind": ("DoRA", AdapterKind.DORA),
    "ranks": ("text = 4, down.1=8", (PartNumber(part="text", number=4), PartNumber(part="down.1", number=8))),
    "alphas": ("conv=0.5", (PartNumber(part="conv", number=0.5),)),
    "lrs": ("text-2: 1e-5", (PartNumber(part="text-2", number=1e-5),)),
    "alpha": ("2.5", 2.5),
    "dropout": ("0.1", 0.1),
    "dora": ("true", True),
    "optimizer": ("Adamw8bit", Optimizer.ADAMW_8BIT),
    "text_lr": ("0.00002", 2e-5),
    "token_lr": ("0.002", 2e-3),
    "weight_decay": ("0.05", 0.05),
    "schedule": ("linear", Schedule.LINEAR),
    "warmup": ("20", 20),
    "clipping": ("0", 0.0),
    "precision": ("float32", "float32"),
    "checkpointing": ("true", True),
    "min_snr_gamma": ("0", 0.0),
    "noise_offset": ("0.05", 0.05),
    "caption_dropout": ("0", 0.0),
    "shuffle_tags": ("true", True),
    "keep_tags": ("1", 1),
    "tag_dropout": ("0.2", 0.2),
    "flip": ("true", True),
    "random_crop": ("true", True),
    "prior": ("none", Prior.NONE),
    "prior_weight": ("0.5", 0.5),
    "prior_pictures": ("7", 7),
    "new_tokens": ("2", 2),
    "pivot": ("0.25", 0.25),
    "validation": ("0", 0.0),
    "every": ("50", 50),
    "patience": ("4", 4),
    "seed": ("11", 11),
}
FIELDS = {
    "lr": "learning_rate",
    "text_lr": "text_learning_rate",
    "token_lr": "token_learning_rate",
    "lrs": "learning_rates",
}


async def test_every_setting_can_be_said_and_comes_back_in_the_form(chat: Chat) -> None:
    apart = ("epochs", "convolutions")  # in place of steps, and not with DoRA
    texts = {name: text for name, (text, _) in KNOBS.items() if name not in apart}

    request = training_of(await fill_form(chat, **texts))
    form = await chat.presses("ana", f"edit:{request.job}")

    for name in texts:
        assert getattr(request.settings, FIELDS.get(name, name)) == KNOBS[name][1], name
    assert isinstance(form, Form)
    again = training_of(await chat.fills("ana", "train", form.values))
    assert again.settings == request.settings
    assert again.examples == request.examples


async def test_somebody_says_what_is_painted_at_every_checkpoint(chat: Chat) -> None:
    samples = "{trigger} {subject} on the moon;  a cat\n"

    answer = await fill_form(chat, samples=samples, subject="woman", trigger="zkw")

    request = training_of(answer)
    assert request.prompts == ("zkw woman on the moon", "a cat")
    form = await chat.presses("ana", f"edit:{request.job}")
    assert isinstance(form, Form)
    assert form.values["samples"] == "zkw woman on the moon; a cat"
    assert "The number of sample prompts must be from 0 to 4, not 5." in await refusal_of(
        chat, name="ida", samples="a;b;c;d;e"
    )


async def test_convolutions_are_trained_where_dora_is_not(chat: Chat) -> None:
    assert training_of(await fill_form(chat, convolutions="true")).settings.convolutions
    assert "DoRA trains linear layers only" in await refusal_of(
        chat, name="ida", convolutions="true", dora="true"
    )


async def test_epochs_stand_for_steps(chat: Chat) -> None:
    assert training_of(await fill_form(chat, epochs="3")).settings.epochs == 3


async def test_a_setting_that_was_not_said_follows_the_preset_when_that_is_changed(chat: Chat) -> None:
    job = training_of(await fill_form(chat, preset="face", lr="0.0003")).job
    form = await chat.presses("ana", f"edit:{job}")
    assert isinstance(form, Form)

    other = training_of(await chat.fills("ana", "train", {**form.values, "preset": "garment"}))

    assert (other.settings.rank, other.settings.learning_rate) == (8, 3e-4)


async def test_a_draft_that_is_changed_takes_the_place_of_the_first(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe", subject="woman")
    form = await chat.presses("ana", f"edit:{job}")
    assert isinstance(form, Form)
    assert form.values["draft"] == job

    answer = await chat.fills("ana", "train", {**form.values, "subject": "girl"})

    request = training_of(answer)
    assert isinstance(answer, CreateJob)
    assert (answer.replaced, answer.unneeded) == (job, ("5" * 64,))  # the old sheet; the pictures stay
    assert (request.name, request.trigger, request.subject) == ("zoe", "ohwx", "girl")
    assert (await chat.sees(job)).deleted
    assert (await chat.sees(request.job)).state == "draft"


async def test_a_changed_draft_that_is_refused_leaves_the_first(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    form = await chat.presses("ana", f"edit:{job}")
    assert isinstance(form, Form)

    with pytest.raises(InvalidRequest):
        await chat.fills("ana", "train", {**form.values, "trigger": "house"})

    assert not (await chat.sees(job)).deleted


async def test_training_again_proposes_another_name_and_another_trigger(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe", subject="woman")
    await chat.trains(job)

    form = await chat.presses("ana", f"edit:{job}")

    assert isinstance(form, Form)
    assert (form.values["name"], form.values["trigger"], "draft" in form.values) == ("zoe-2", "", False)
    again = training_of(await chat.fills("ana", "train", form.values))
    assert (again.name, again.phrase) == ("zoe-2", f"{TRIGGERS[1]} woman")
    assert (await chat.sees(job)).state == "succeeded"


async def test_somebody_elses_draft_is_neither_opened_nor_replaced(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")

    with pytest.raises(InvalidRequest, match=rf"^Only ana can change job {job}\.$"):
        await chat.presses("root", f"edit:{job}")
    assert await refusal_of(chat, "bob", name="bobs", draft=job) == f"Job {job} is not a draft of yours."
    assert await refusal_of(chat, "bob", name="bobs", draft="k3f9qa") == "There is no job k3f9qa here."
    assert not (await chat.sees(job)).deleted


async def test_a_started_training_is_not_replaced(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    await chat.presses("ana", f"start:{job}")

    sentence = await refusal_of(chat, name="other", draft=job)

    assert sentence == f"Job {job} has already started. Press its pencil to train again."


async def test_pictures_of_others_cannot_be_learned_from(chat: Chat) -> None:
    pictures = await chat.sends("ana", ONE)

    assert (
        await refusal_of(chat, "bob", pictures=pictures)
        == "The picture aa.png is no longer here. Send it again."
    )


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"consent": ""}, "Confirm that you may use these pictures. Tick the box or add --consent."),
    ({"consent": "false"}, "Confirm that you may use these pictures. Tick the box or add --consent."),
    (
        {"name": "My Cat"},
        "The LoRA name 'my cat' may only have a-z, 0-9, - and _, at most 32 of them.",
    ),
    ({"name": "../x"}, "The LoRA name '../x' may only have a-z, 0-9, - and _, at most 32 of them."),
    ({"name": "ink"}, "There is already a LoRA ink here. Choose another name."),
    (
        {"trigger": "House"},
        "The trigger 'house' is an ordinary word. Choose one that means nothing yet, such as ohwx.",
    ),
    (
        {"trigger": "corgi", "subject": "Corgi dog"},
        "The trigger 'corgi' is an ordinary word. Choose one that means nothing yet, such as ohwx.",
    ),
    (
        {"trigger": "two words"},
        "The trigger must be one word of 2 to 24 of a-z, 0-9, - and _, not 'two words'.",
    ),
    ({"rank": "100"}, "--rank must be from 0 to 64, not 100."),
    ({"rank": "0"}, "All ranks are 0, so nothing would learn. Give --rank or one of --ranks."),
    (
        {"kind": "loha", "dropout": "0.1"},
        "A loha drops no inputs. Leave out --dropout, or choose --kind lora, dora or locon.",
    ),
    ({"kind": "loha", "dora": "true"}, "--dora does not go with --kind loha. Leave out one of them."),
    ({"kind": "lycoris"}, "--kind must be lora, dora, locon, loha, lokr, ia3 or oft, not 'lycoris'."),
    ({"ranks": "text=65"}, "The largest of --ranks must be from 0 to 64, not 65."),
    ({"ranks": "text=1.5"}, "--ranks text must be a whole number from 0 to 128, not 1.5."),
    ({"ranks": "text=2, text=3"}, "--ranks has text twice. Say it once."),
    (
        {"ranks": "text 4"},
        "'text' is no part with its number. Write parts with their numbers, such as text=4, down.1=8.",
    ),
    (
        {"lrs": "down.1=1e-4"},
        "--lrs has no part 'down.1'. There are attention, feed-forward, conv, text, text-2.",
    ),
    ({"steps": "0"}, "--steps must be from 1 to 20000, not 0."),
    ({"lr": "10"}, "--lr must be from 0 to 1, not 10."),
    ({"lr": "0.5"}, "--lr must be from 0 to 0.1, not 0.5."),
    (
        {"optimizer": "sgd"},
        "--optimizer must be adamw, adamw8bit, prodigy, adafactor, lion, schedulefree or came, not 'sgd'.",
    ),
    ({"preset": "stile"}, "There is no preset 'stile'. Did you mean style?"),
    ({"blocks": "attic"}, "There is no block 'attic'. Blocks are called down.0, mid or up.1, for example."),
    ({"pictures": "nonsense"}, "The pictures cannot be read. Send them with the form."),
    ({"pictures": "{}"}, "The pictures cannot be read. Send them with the form."),
    ({"pictures": "[" * 100_000}, "The pictures cannot be read. Send them with the form."),
    (
        {"pictures": '[{"sha256": "../../etc"}]'},
        "One of the pictures cannot be read. Send it with the form.",
    ),
    ({"pictures": "[7]"}, "One of the pictures cannot be read. Send it with the form."),
    (
        {"pictures": json.dumps([{"sha256": ONE, "name": "a.png", "caption": "x" * 50_000}])},
        "The caption of a.png has 50,000 characters. At most 10,000 are allowed.",
    ),
]


async def test_what_cannot_be_is_answered_with_one_sentence(chat: Chat) -> None:
    for texts, sentence in REFUSED:
        assert await refusal_of(chat, **texts) == sentence


async def test_more_pictures_than_can_be_learned_from_are_refused(chat: Chat) -> None:
    pictures = await chat.sends("ana", *(f"{number:064x}" for number in range(1001)))

    assert await refusal_of(chat, pictures=pictures) == (
        "There are 1,001 pictures. At most 1,000 are allowed in a chat, and more in a terminal "
        "(python -m bot train)."
    )


async def test_a_name_is_taken_from_the_draft_on_until_it_is_deleted(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    taken = "There is already a LoRA zoe here. Choose another name."

    assert await refusal_of(chat, "bob", name="zoe") == taken
    assert isinstance(await fill_form(chat, "bob", name="bobs"), CreateJob)
    await chat.presses("ana", f"delete:{job}")
    assert isinstance(await fill_form(chat, "bob", name="zoe"), CreateJob)


async def test_a_trigger_that_calls_up_another_lora_is_taken(chat: Chat) -> None:
    await chat.drafts("ana", "zoe", trigger="zkw")

    assert await refusal_of(chat, "bob", name="bobs", trigger="zkw") == (
        "The trigger 'zkw' calls up another LoRA here. Choose another word, such as ohwx."
    )


async def test_each_training_has_a_trigger_of_its_own_unless_one_is_said(chat: Chat) -> None:
    first, second = [training_of(await fill_form(chat, name=f"l{number}")) for number in range(2)]

    assert (first.trigger, second.trigger) == TRIGGERS[:2]
    assert not set(TRIGGERS) & common_words()


async def test_so_many_trainings_may_be_open_and_pictures_do_not_count(chat: Chat) -> None:
    for number in range(3):
        await chat.files("ana", "/imagine a fox")
        await chat.drafts("ana", f"l{number}")

    assert await refusal_of(chat, name="l4") == (
        "You have 3 open trainings. At most 3 are allowed. Delete or cancel one. /training lists them."
    )


def test_words_that_mean_something_are_ordinary() -> None:
    for word in ("woman", "red", "circle", "style", "photo", "cat", "sweater", "the", "painting", "gear"):
        assert word in common_words()
    assert len(common_words()) >= 1000
    assert all(word == word.lower() and word.isalpha() for word in common_words())


async def test_forgetting_a_draft_takes_the_sheet_and_gives_the_engine_up(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")

    answer = await chat.presses("ana", f"delete:{job}")

    assert answer == UpdateCards(
        jobs=(job,), text=f"Job {job} is deleted.", unneeded=(Sha256("5" * 64),), stopped=(job,)
    )


async def test_a_training_goes_on_from_a_lora_by_its_name_and_keeps_its_words(chat: Chat) -> None:
    first = await chat.drafts("ana", "zoe", subject="woman", trigger="zkw")
    view = await chat.trains(first)
    assert view.training is not None

    request = training_of(await fill_form(chat, from_lora="zoe"))

    assert request.start is not None
    assert (request.start.name, request.start.sha256) == ("zoe", view.training.checkpoints[0].sha256)
    assert (request.trigger, request.subject) == ("zkw", "woman")
    stored = (await chat.sees(request.job)).request
    assert isinstance(stored, Train)
    assert stored.start == request.start
    form = await chat.presses("ana", f"edit:{request.job}")
    assert isinstance(form, Form)
    assert form.values["from_lora"] == "zoe"
    said = await chat.says("ana", "/train ida --from zoe")
    assert isinstance(said, Form)
    assert said.values["from_lora"] == "zoe"


async def test_nobody_goes_on_from_a_lora_that_is_not_theirs_or_was_deleted_meanwhile(chat: Chat) -> None:
    await chat.trains(await chat.drafts("ana", "zoe", subject="woman", trigger="zkw"))
    unknown = "There is no LoRA 'zoe'. The LoRAs are ink and maria."

    assert await refusal_of(chat, "bob", from_lora="zoe") == unknown
    with pytest.raises(InvalidRequest, match="There is no LoRA 'zoe'"):
        await chat.fills(
            "ana",
            "train",
            {"name": "mia", "consent": "true", "pictures": await chat.sends("ana", ONE), "from_lora": "zoe"},
            space="art",
        )
    job = training_of(await fill_form(chat, from_lora="zoe")).job
    await chat.reports(job)
    await chat.says("ana", "/lora zoe --delete")

    with pytest.raises(InvalidRequest) as refusal:
        await chat.presses("ana", f"start:{job}")

    assert str(refusal.value) == (
        "The LoRA zoe, from which it goes on, is not shared with you, or was retired or deleted."
    )


async def test_the_file_to_go_on_from_stays_unless_its_lora_is_deleted_before_the_start(chat: Chat) -> None:
    view = await chat.trains(await chat.drafts("ana", "zoe", subject="woman", trigger="zkw"))
    assert view.training is not None
    zoe = view.training.checkpoints[0].sha256
    assert zoe is not None

    async def held(*hashes: Sha256) -> set[Sha256]:
        async with chat.database.reading() as session:
            return await find_in_use(session, hashes)

    ink = training_of(await fill_form(chat, from_lora="ink")).start
    assert ink is not None
    job = training_of(await fill_form(chat, name="ida", from_lora="zoe")).job
    assert await held(ink.sha256, zoe) == {ink.sha256}

    await chat.reports(job)
    await chat.presses("ana", f"start:{job}")

    assert await held(ink.sha256, zoe) == {ink.sha256, zoe}
