"""The texts of the pages, in Korean and in English. The data file has them by key."""

import json
from collections.abc import Mapping
from pathlib import Path

from collector.kiwoom.protocol.error_codes import MEANINGS, code_in

LANGUAGES = ("ko", "en")


def _load(path: Path) -> Mapping[str, tuple[str, ...]]:
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {key: tuple(texts.get(language, "") for language in LANGUAGES) for key, texts in entries.items()}


_TEXTS = _load(Path(__file__).with_name("translations.json"))


def text(key: str, language: str) -> str:
    """The text with this key."""
    return _TEXTS[key][LANGUAGES.index(language)]


def meaning(code: str, language: str) -> str:
    """The meaning of a reason or a class of errors, "" if it has no entry. For remarks use `explain`."""
    texts = _TEXTS.get(f"is_{code}")
    return texts[LANGUAGES.index(language)] if texts else ""


def explain_error(error: str, language: str) -> list[str]:
    """The meaning of an error or a reason in the ledger: of its Kiwoom code, and of its class."""
    code = code_in(error)
    said = MEANINGS.get(code) if code is not None else None
    of_code = f"{code}: {said[LANGUAGES.index(language)]}" if said else ""
    return [line for line in (of_code, meaning(error.partition(":")[0], language)) if line]


def language(accepted: str) -> str:
    """The language for an Accept-Language header: Korean if it is preferred to English."""
    weights = {"ko": 0.0, "en": 0.0}
    for part in accepted.lower().split(",")[:20]:
        tag, _, parameter = part.strip().partition(";")
        name = tag.partition("-")[0]
        if name in weights:
            weights[name] = max(weights[name], _weight(parameter))
    return "ko" if weights["ko"] > weights["en"] else "en"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
