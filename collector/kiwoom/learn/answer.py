"""One question with its answer, as `check --learn` prints it."""

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN = "not clear"


class LearnedAnswer(NamedTuple):
    """One question with its answer; `facts` are texts by name, for the table `api_fact`.

    A question without a clear answer has no fact.
    """

    question: str
    answer: str
    facts: Mapping[str, str] = {}
