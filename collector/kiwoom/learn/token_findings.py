"""Findings on tokens and next-keys."""

from collections.abc import Callable, Sequence

from collector.kiwoom.api_facts import KEY_OUTLIVES_TOKEN
from collector.kiwoom.learn.answer import UNKNOWN, LearnedAnswer
from collector.kiwoom.learn.observations import Observations
from collector.model import Page


def find_reissue(seen: Observations) -> LearnedAnswer:
    """What a new token does to the one before it."""
    question = "Does a new token kill the one before it?"
    trial = seen.token
    if trial is None:
        return LearnedAnswer(question, UNKNOWN)
    if trial.is_repeated:
        return LearnedAnswer(question, "no: the same token is handed out again", {"token.reissue": "repeats"})
    if trial.old_lives is None:
        return LearnedAnswer(question, UNKNOWN)
    if trial.old_lives:
        return LearnedAnswer(question, "no: both are accepted", {"token.reissue": "keeps"})
    return LearnedAnswer(question, "yes", {"token.reissue": "replaces"})


def find_token_life(seen: Observations) -> LearnedAnswer:
    """How long a new token lives, by the end that comes with it."""
    question = "How long does a token live?"
    if seen.token_life is None:
        return LearnedAnswer(question, UNKNOWN)
    hours = f"{seen.token_life.total_seconds() / 3600:.1f} h"
    return LearnedAnswer(question, hours, {"token.life": hours})


def find_key_and_token(seen: Observations) -> LearnedAnswer:
    """Whether a walk can go on with its next-key after a new token."""
    question = "Does a next-key outlive a new token?"
    if seen.token is None or seen.token.is_repeated or seen.token.key_outlives is None:
        reason = ": there was no other token" if seen.token and seen.token.is_repeated else ""
        return LearnedAnswer(question, f"{UNKNOWN}{reason}")
    answer = "yes" if seen.token.key_outlives else "no"
    return LearnedAnswer(question, answer, {KEY_OUTLIVES_TOKEN: answer})


def find_key_age(seen: Observations) -> LearnedAnswer:
    """Whether a next-key outlives a minute."""
    question = "How long does a next-key live?"
    if seen.key_age is None or seen.key_lives is None:
        return LearnedAnswer(question, UNKNOWN)
    age = f"{seen.key_age:.0f} s"
    bound = f"more than {age}" if seen.key_lives else f"less than {age}"
    return LearnedAnswer(question, bound, {"page_key.age": bound})


def find_key_shape(seen: Observations) -> LearnedAnswer:
    """The shape of the next-keys, without their values, and whether they count rows."""
    question = "What does a next-key look like?"
    pages = max(seen.walks.values(), key=len, default=())
    keys = [page.next_key for page in pages if page.next_key]
    if not keys:
        return LearnedAnswer(question, UNKNOWN)
    shape = describe_keys(keys)
    counts = _describe_counts(pages, keys)
    text = {
        "rows_left": "it ends with the number of rows to come",
        "rows_read": "it ends with the number of rows read",
    }
    return LearnedAnswer(
        question,
        f"{shape}; {text.get(counts, 'it counts no rows')}",
        {"page_key.shape": shape, "page_key.counts": counts},
    )


def describe_keys(keys: Sequence[str]) -> str:
    """The lengths and the kinds of characters of some keys."""
    lengths = sorted({len(key) for key in keys})
    classes: list[tuple[str, Callable[[str], bool]]] = [
        ("A-Z", lambda char: "A" <= char <= "Z"),
        ("a-z", lambda char: "a" <= char <= "z"),
        ("0-9", lambda char: "0" <= char <= "9"),
        ("other characters", lambda char: not char.isalnum()),
    ]
    kinds = [name for name, is_kind in classes if any(is_kind(char) for key in keys for char in key)]
    length = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    return f"{length} characters of {', '.join(kinds)}"


def _describe_counts(pages: Sequence[Page], keys: Sequence[str]) -> str:
    """`rows_left` or `rows_read` if all keys end with that number, else `none`."""
    total = sum(page.size for page in pages)
    read = [sum(page.size for page in pages[: index + 1]) for index in range(len(keys))]
    if pages[-1].next_key is None and all(
        key.endswith(str(total - rows)) for key, rows in zip(keys, read, strict=True)
    ):
        return "rows_left"
    return (
        "rows_read" if all(key.endswith(str(rows)) for key, rows in zip(keys, read, strict=True)) else "none"
    )
