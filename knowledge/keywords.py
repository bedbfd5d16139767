"""Words: how a text is normalised and cut into search tokens, and BM25 over them."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\x00-\x08\x0b-\x1f\x7f]")
_SPACES = re.compile(r"\s+")
_PIECE = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*%?|[\u3400-\u9fff]+")
_STOP = frozenset(
    ["a", "an", "the", "and", "or", "but", "of", "to", "in", "on", "at", "for", "with", "by", "from", "as", "is", "are", "was", "were", "be", "been", "it", "its", "this", "that", "these", "those", "i", "we", "you", "he", "she", "they", "my", "our", "your", "his", "her", "their", "me", "us", "him", "them", "do", "does", "did", "have", "has", "had", "will", "would", "can", "could", "should", "just", "so", "if", "then", "than", "not", "no", "what", "how", "when", "的", "了", "和", "是", "我", "我们", "你", "您", "他", "她", "它", "他们", "在", "也", "就", "都", "说", "有", "这", "那", "吗", "呢", "啊", "吧", "还", "又", "要", "把", "被", "给", "跟", "与", "及", "或", "但", "但是", "很", "到", "去", "来", "一个", "这个", "那个"]
)


@cache
def _simplified() -> dict[int, str]:
    """Traditional → simplified characters, from the table that OpenCC ships (Apache-2.0)."""
    import opencc

    table: dict[int, str] = {}
    for line in (Path(opencc.__file__).parent / "dictionary" / "TSCharacters.txt").read_text("utf-8").splitlines():
        traditional, _, simplified = line.partition("\t")
        if len(traditional) == 1 and simplified:
            table[ord(traditional)] = simplified.split()[0]
    return table


def normalise(text: str) -> str:
    """NFKC, simplified characters, lower case, no invisible characters, single spaces."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_simplified())
    return _SPACES.sub(" ", text).strip().lower()


def tokens(text: str) -> list[str]:
    """Search tokens: Chinese words (and their characters' bigrams), English stems, numbers."""
    import rjieba

    found: list[str] = []
    for piece in _PIECE.findall(normalise(text)):
        if "\u3400" <= piece[0] <= "\u9fff":
            found += [word for word in rjieba.cut(piece) if word not in _STOP]
            found += [piece[i : i + 2] for i in range(len(piece) - 1)]
        elif piece not in _STOP:
            found.append(stem(piece))
    return found


def terms(text: str) -> list[str]:
    """Terms for classifiers, of a normalised text: as `tokens`, with small English words and pairs of English words."""
    import rjieba

    chinese, english = list[str](), list[str]()
    for piece in _PIECE.findall(text):
        if "\u3400" <= piece[0] <= "\u9fff":
            chinese += [word for word in rjieba.cut(piece) if word not in _STOP]
            chinese += [piece[i : i + 2] for i in range(len(piece) - 1)]
        else:
            english.append(stem(piece))
    return [*chinese, *english, *(f"{first} {second}" for first, second in pairwise(english))]


def stem(word: str) -> str:
    """A light English stemmer: plural, -ing, -ed, -'s; enough to join forms, too little to join meanings."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for suffix in ("ing", "ed", "es"):
        if len(word) - len(suffix) >= 3 and word.endswith(suffix):
            word = word[: -len(suffix)]
            return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class Keywords:
    """BM25 over tokenised texts, in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for DEBUG by itself
        corpus = [tokens(text) or ["∅"] for text in texts]
        self._size = len(corpus)
        self._index: Any = bm25s.BM25()
        if corpus:
            self._index.index(corpus, show_progress=False)

    def scores(self, text: str) -> NDArray[np.float32]:
        """BM25 scores of all texts, shape (n,); zeros where no token is shared."""
        wanted = [token for token in tokens(text) if token in self._index.vocab_dict] if self._size else []
        if not wanted:
            return np.zeros(self._size, np.float32)
        return np.asarray(self._index.get_scores(wanted), np.float32)
