"""Content rules of a space, checked against the words of a request."""

import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

import regex  # type: ignore[import-untyped]  # unlike re it has a timeout

from commands.permissions import NotAllowed
from commands.syntax.parser import shorten
from engine.messages import Example, FlaggedPolicy, InvalidRequest, JobRequest, Paint, Train
from storage.rules import Rules

LONGEST = 200  # characters of a word or a pattern
MOST = 200  # of them
PATIENCE, BUDGET = 0.02, 0.2  # seconds for a pattern, and for all: somebody may write one that never ends
PAINT, WORD = "The rules here do not allow this prompt", "rule: "
ADULTS = "The rules here allow this only in a channel for adults"


def normalize(text: str) -> str:
    """Text without case, accents and other variants of spelling: "Ｎｕｄé" is "nude"."""
    letters = unicodedata.normalize("NFKD", text)
    return " ".join(
        "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold().split()
    )


def read_rule(text: str) -> str:
    """A rule from text: words, or a pattern between slashes. Raises InvalidRequest."""
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise InvalidRequest(f"A rule must have 1 to {LONGEST} characters, not {len(text)}.")
    if not _is_pattern(text):
        return normalize(text)
    if "{" in text:
        raise InvalidRequest(f"{shorten(text)} has braces. A pattern may use *, + and ?, but no counts.")
    try:
        regex.compile(text[1:-1])
    except regex.error as error:
        raise InvalidRequest(f"{shorten(text)} is not a valid pattern ({error}).") from None
    return text


def check_rules(rules: Rules, request: JobRequest, examples: Sequence[Example] = (), *, adult: bool) -> None:
    """Raise NotAllowed when the words of a request break the rules; `adult`: in a channel for adults.

    examples: the pictures of a training, which its request may not name itself.
    """
    if not (rules.refuse or rules.adult):
        return
    texts = [normalize(text) for text in (*_texts(request), *(example.caption for example in examples))]
    until = time.monotonic() + BUDGET
    for sentence, refused in ((PAINT, rules.refuse), (ADULTS, () if adult else rules.adult)):
        for rule in refused:
            if any(_matches(text, rule, until) for text in texts):
                raise NotAllowed(f"{sentence}.", f"{WORD}{rule}")


def apply_rules(rules: Rules, request: JobRequest, *, adult: bool) -> JobRequest:
    """The request with the space's negative prompt added, and its policy for flagged pictures."""
    request = replace(request, flagged=FlaggedPolicy.SHOW if adult else rules.filtered)
    if not rules.negative or not isinstance(request, Paint) or rules.negative in request.negative_prompt:
        return request
    both = ", ".join(filter(None, (request.negative_prompt, rules.negative)))
    return replace(request, negative_prompt=both)


def _texts(request: JobRequest) -> Iterator[str]:
    if isinstance(request, Paint):
        yield request.prompt
    elif isinstance(request, Train):
        yield from (request.name, request.phrase, *request.prompts)


def _is_pattern(text: str) -> bool:
    return len(text) > 2 and text.startswith("/") and text.endswith("/")


def _matches(text: str, rule: str, until: float) -> bool:
    """Whether the rule matches this text. A pattern that takes too long counts as a match."""
    pattern = rule[1:-1] if _is_pattern(rule) else rf"(?<!\w){regex.escape(rule)}(?!\w)"
    try:
        left = max(0.001, min(PATIENCE, until - time.monotonic()))
        return regex.search(pattern, text, timeout=left) is not None
    except TimeoutError:
        return True
