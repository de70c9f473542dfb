"""The text of a card, without any chat's markup."""

from bot.cards.card import Button, Card, Curve

EMOJI = {
    "draft": "📝",
    "queued": "⏳",
    "running": "🎨",
    "succeeded": "✅",
    "failed": "⚠️",
    "cancelled": "🚫",
}
LEARNING = "🎓"  # a training that runs
WORDS = {
    "again": "Again",
    "vary": "Vary",
    "edit": "Edit",
    "image": "Paint from",
    "part": "Change a part",
    "upscale": "Enlarge",
    "extend": "Extend",
    "zoom": "Zoom out 1.5x",
    "wide": "Zoom out 2x",
    "left": "Extend left",
    "right": "Extend right",
    "up": "Extend up",
    "down": "Extend down",
    "square": "Make square",
    "keep": "Keep",
    "send": "Send me",
    "stop": "Cancel",
    "delete": "Delete",
    "start": "Start",
    "finish": "Stop and keep",
    "choose": "Use",
}
CAPITALS = {"cfg": "CFG", "dora": "DoRA", "lora": "LoRA", "lr": "LR"}  # labels with capitals of their own


def bar(done: float, width: int = 12) -> str:
    """A progress bar of `width` characters: "▓▓▓▓░░░░░░░░"."""
    full = round(min(1.0, max(0.0, done)) * width)
    return "▓" * full + "░" * (width - full)


def status(card: Card) -> str:
    """The card's line with an emoji for the job's state."""
    training = card.kind == "train" and card.state == "running"
    return f"{LEARNING if training else EMOJI.get(card.state, '')} {card.line}".strip()


def short(text: str, limit: int) -> str:
    """The text in at most `limit` characters, cut at the end of a word if one is near, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: max(0, limit - 1)].rstrip()
    at = cut.rfind(" ")
    return (cut[:at] if at > 0.7 * len(cut) else cut).rstrip() + "…"


def recipe_line(card: Card) -> str:
    """The recipe in a line: "steps 20 · cfg 7 · seed 42"."""
    return " · ".join(f"{name} {value}" for name, value in card.recipe)


def button_word(button: Button, card: Card) -> str:
    """A button's text beside its emoji: the number of its picture, or one or two words."""
    name = button.id.partition(":")[0]
    if name == "choose":
        step = next((state.step for state in card.checkpoints if state.place == button.picture), None)
        return f"Use step {step}" if step is not None else "Use"
    if button.picture is not None:
        return str(button.picture)
    if card.kind == "train" and name == "edit":
        return "Change" if card.state == "draft" else "Train again"
    if card.state == "draft" and name == "delete":
        return "Discard"
    return WORDS.get(name, name)


def option_word(button: Button) -> str:
    """A button's text where it stands in a list: "Paint from picture 2"."""
    name = button.id.partition(":")[0]
    word = WORDS.get(name, name)
    return word if button.picture is None else f"{word}: picture {button.picture}"


def stars_line(card: Card) -> str:
    """How many people keep which picture; empty when nobody keeps any."""
    starred = [picture for picture in card.pictures if picture.stars]
    if len(card.pictures) == 1:
        return f"⭐ {starred[0].stars}" if starred else ""
    return "  ".join(f"⭐ Picture {picture.place}: {picture.stars}" for picture in starred)


def bare_line(card: Card) -> str:
    """Why the card has no picture, and how to get it; empty when the chat takes its pictures."""
    return f"Without its picture: {card.bare}{' ✉️ sends it.' if card.pictures else ''}" if card.bare else ""


def training_text(card: Card) -> str:
    """What a training's card says below its line, in lines of plain text."""
    return "\n".join([*problems(card), *notes(card), *_curve_lines(card.curve), *checkpoints(card)])


def problems(card: Card) -> list[str]:
    """What is wrong with the pictures as a whole."""
    return [f"⚠️ {problem}" for problem in card.problems]


def notes(card: Card) -> list[str]:
    """What is wrong with which pictures, by their numbers on the contact sheet."""
    remarks = [(place, note) for place, note in enumerate(card.notes, start=1) if note.text or not note.used]
    if card.notes and not remarks and card.state == "draft":
        return ["All pictures are fine."]
    return [
        f"{place} · {note.name or 'picture'}: {note.text or 'not needed'}{'' if note.used else ' (left out)'}"
        for place, note in remarks
    ]


def curve_words(curve: Curve) -> str:
    """The curve in words: "Loss from 0.150 to 0.0834 in 300 steps, best at step 250 (validation 0.0901)"."""
    line = curve.smoothed or curve.losses
    parts = []
    if line:
        parts.append(f"loss from {number(line[0][1])} to {number(line[-1][1])} in {line[-1][0]:,} steps")
    best = next((value for step, value in curve.validation if step == curve.best), None)
    if best is not None:
        parts.append(f"best at step {curve.best:,} (validation {number(best)})")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def checkpoints(card: Card) -> list[str]:
    """The checkpoints to choose from, once there is a choice."""
    return [
        f"{'☑️' if state.chosen else '▫️'} Step {state.step:,}"
        + ("" if state.validation is None else f", validation {number(state.validation)}")
        + (", in use" if state.chosen else "")
        for state in card.checkpoints
        if state.place
    ]


def number(value: float) -> str:
    """A loss to three significant digits: 0.0834, 0.150, 0.000120."""
    if value == 0 or not 1e-6 < abs(value) < 1e6:
        return f"{value:.2e}" if value else "0"
    return f"{value:#.3g}".rstrip(".")


def _curve_lines(curve: Curve | None) -> list[str]:
    words = "" if curve is None else curve_words(curve)
    return [f"📉 {words}"] if words else []


def field_label(label: str) -> str:
    """What stands above the field of a parameter: "Prompt", "LoRA"."""
    return CAPITALS.get(label, label.capitalize())
