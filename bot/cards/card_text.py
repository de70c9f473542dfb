"""A card in words, without any chat's markup, for chats that show text around pictures."""

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
    "keep": "Keep",
    "send": "Send me",
    "stop": "Cancel",
    "delete": "Delete",
    "start": "Start",
    "finish": "Stop and keep",
    "choose": "Use",
}


def bar(done: float, width: int = 12) -> str:
    """How far it is, as so many characters: "▓▓▓▓░░░░░░░░"."""
    full = round(min(1.0, max(0.0, done)) * width)
    return "▓" * full + "░" * (width - full)


def status(card: Card) -> str:
    """Where the job is, in a line with its emoji."""
    training = card.kind == "train" and card.state == "running"
    return f"{LEARNING if training else EMOJI.get(card.state, '')} {card.line}".strip()


def short(text: str, limit: int) -> str:
    """The text within so many characters, cut at a word where that is near, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: max(0, limit - 1)].rstrip()
    at = cut.rfind(" ")
    return (cut[:at] if at > 0.7 * len(cut) else cut).rstrip() + "…"


def recipe_line(card: Card) -> str:
    """The recipe as people read it: "steps 20 · cfg 7 · seed 42"."""
    return " · ".join(f"{name} {value}" for name, value in card.recipe)


def button_word(button: Button, card: Card) -> str:
    """What a button says beside its emoji: the number of its picture, or one or two words."""
    name = button.id.partition(":")[0]
    if name == "choose":
        step = next((one.step for one in card.checkpoints if one.place == button.picture), None)
        return f"Use step {step}" if step is not None else "Use"
    if button.picture is not None:
        return str(button.picture)
    if card.kind == "train" and name == "edit":
        return "Change" if card.state == "draft" else "Train again"
    if card.state == "draft" and name == "delete":
        return "Forget"
    return WORDS.get(name, name)


def stars_line(card: Card) -> str:
    """Which pictures are kept by how many people; empty when none is."""
    kept = [one for one in card.pictures if one.stars]
    if len(card.pictures) == 1:
        return f"⭐ {kept[0].stars}" if kept else ""
    return "  ".join(f"⭐ picture {one.place}: {one.stars}" for one in kept)


def bare_line(card: Card) -> str:
    """Why the card has no picture, and how its person gets it; empty while the chat takes pictures."""
    return f"without its picture: {card.bare}{' ✉️ sends it.' if card.pictures else ''}" if card.bare else ""


def training_text(card: Card) -> str:
    """What a training's card has to say beside its line: a line for each thing, plain text."""
    return "\n".join([*problems(card), *notes(card), *_curve_lines(card.curve), *checkpoints(card)])


def problems(card: Card) -> list[str]:
    """What is wrong with the pictures together."""
    return [f"⚠️ {one}" for one in card.problems]


def notes(card: Card) -> list[str]:
    """The pictures that there is something to say about, by the numbers that are on the contact sheet."""
    told = [(place, note) for place, note in enumerate(card.notes, start=1) if note.text or not note.used]
    if card.notes and not told and card.state == "draft":
        return ["Nothing is wrong with any of the pictures."]
    return [
        f"{place} · {note.name or 'picture'}: {note.text or 'not needed'}{'' if note.used else ' (left out)'}"
        for place, note in told
    ]


def curve_words(curve: Curve) -> str:
    """What the curve says: "loss from 0.150 to 0.0834 in 300 steps, best at step 250 (validation 0.0901)"."""
    line = curve.smoothed or curve.losses
    told = []
    if line:
        told.append(f"loss from {number(line[0][1])} to {number(line[-1][1])} in {line[-1][0]:,} steps")
    best = next((value for step, value in curve.validation if step == curve.best), None)
    if best is not None:
        told.append(f"best at step {curve.best:,} (validation {number(best)})")
    return ", ".join(told)


def checkpoints(card: Card) -> list[str]:
    """The states of the LoRA that its person may choose from, once there is a choice."""
    return [
        f"{'☑️' if one.chosen else '▫️'} step {one.step:,}"
        + ("" if one.validation is None else f", validation {number(one.validation)}")
        + (", in use" if one.chosen else "")
        for one in card.checkpoints
        if one.place
    ]


def number(value: float) -> str:
    """A loss with three digits that count: 0.0834, 0.150, 0.000120."""
    if value == 0 or not 1e-6 < abs(value) < 1e6:
        return f"{value:.2e}" if value else "0"
    return f"{value:#.3g}".rstrip(".")


def _curve_lines(curve: Curve | None) -> list[str]:
    words = "" if curve is None else curve_words(curve)
    return [f"📉 {words}"] if words else []
