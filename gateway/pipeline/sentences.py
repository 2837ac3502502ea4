"""Where a text may be cut: the ends of sentences, the breaks inside a long one, and graphemes."""

import re
import unicodedata

# These end a sentence by themselves; the others of TERMINATORS need white space after them.
STRONG = frozenset("。！？．｡।॥؟۔։።။។៕")
TERMINATORS = STRONG | frozenset(".!?…‼⁇⁈⁉")
# What may close a quotation, a bracket or a Markdown emphasis behind a terminator.
CLOSERS = frozenset("\"')]}*_’”»›」』）》】〕〉］｝〗〙")
_UNAMBIGUOUS_CLOSERS = CLOSERS - frozenset("\"'*_»›")
# Clause marks that need white space after them ("1,000" and "10:30" have none), and those that do not.
_SPACED_CLAUSE_MARKS = frozenset(",;:،؛–-")
_CLAUSE_MARKS = frozenset("，、；：—…")
_CLAUSE_TAIL = _CLAUSE_MARKS | _UNAMBIGUOUS_CLOSERS
_NO_BREAK_SPACES = frozenset("\u00a0\u202f\u2007")
LIST_BULLETS = frozenset("-+*•‣▪◦·–")

# How far before a full stop an abbreviation, or a list number, is looked for.
CONTEXT = 24

_SYMBOLS = frozenset(("So", "Sk", "Cf", "Mn", "Me", "Cs"))
_REGIONAL = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_EXTENDERS = frozenset(("Mn", "Me", "Mc"))
_THAI_AM = "\u0e33\u0eb3"
_WORD = re.compile(r"[\w.'’]+\Z")
_LEADING = " \t\r\n\"'([{*_#“‘«¿¡"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The full stop of these never ends a sentence.
_BOUND = _words(
    "dr mr mrs ms mx prof st mt messrs sr sra srta dra dña hr fr fra mme mlle "
    "vs cf viz e.g i.e z.b d.h u.a p.ej approx ca bzw incl esp resp"
)
# Titles that are also words in lower case ("one more rep.").
_TITLES = _words("Gen Rep Sen Gov Col Lt Sgt Capt Cmdr Adm Maj Rev Hon Pres")
# These belong to a number that follows.
_NUMBERED = _words(
    "no nos nr núm fig figs vol art sec ch p pp eq tab op jan feb mar apr jun jul aug sep sept oct nov dec"
)
# These may end a sentence: the word that follows tells.
_EITHER = _words(
    "etc inc ltd corp co bros jr esq al dept est ave blvd rd ft usw ud uds "
    "a.m p.m u.s u.k u.n e.u u.s.a u.s.s.r d.c b.c a.d b.c.e c.e ph.d m.d b.a m.a"
)


def speakable(text: str) -> bool:
    """Whether `text` has at least one letter or digit, of any script."""
    return any(map(str.isalnum, text))


def is_symbol(character: str) -> bool:
    """Whether the character is an emoji or a part of one: never spoken, and no start of a sentence."""
    return character > "\x7f" and unicodedata.category(character) in _SYMBOLS


def is_wide(character: str) -> bool:
    """Whether the character is an ideograph, a kana or a Hangul syllable."""
    return "\u2e80" <= character <= "\ud7ff" or "\uf900" <= character <= "\ufaff" or character >= "\U00020000"


def ends_sentence(before: str, run: str, following: str, *, at_start: bool) -> bool:
    """Whether a run of terminators that white space follows is the end of a sentence.

    `before` is the text before it (the last CONTEXT characters; `at_start`: this is the whole segment), `run`
    the terminators with their closers, `following` the first letter or digit after the white space, or "".
    """
    if not STRONG.isdisjoint(run):
        return True
    marks = "".join(mark for mark in run if mark in TERMINATORS)
    if len(marks) < len(run) and following.islower():
        return False  # "Stop!" he said.
    is_spaced_ellipsis = before[-1:].isspace() and before.rstrip().endswith(".")
    if marks == "." and not is_spaced_ellipsis:
        return not _is_abbreviation(before, following, at_start=at_start)
    return not (following.islower() and set(marks) <= {".", "…"})


def ends_unspaced(before: str, run: str, following: str) -> bool:
    """Whether a run of terminators that no white space follows is the end of a sentence."""
    if run == "．" and before[-1:].isdigit() and following.isdigit():
        return False
    if not STRONG.isdisjoint(run):
        return True
    return run[0] in "!?" and following != "" and is_wide(following)


def grapheme_cut(text: str, cut: int) -> int:
    """The last place up to `cut` that splits no grapheme, looking back 32 characters at most; else `cut`."""
    for place in range(cut, max(cut - 32, 0), -1):
        if not _joined(text, place):
            return place
    return cut


def _is_abbreviation(before: str, following: str, *, at_start: bool) -> bool:
    head = before.lstrip(_LEADING) if at_start else ""
    if head and len(head) <= 3 and (head.isdigit() or (len(head) == 1 and head.isalpha())):
        return True  # a list number: "1. First"
    match = _WORD.search(before)
    if match is None:
        return False
    word = match.group().lstrip(".'’0123456789")
    key = word.lower()
    if key in _BOUND or word in _TITLES:
        return True
    if key in _NUMBERED:
        return following.isdigit()
    if key in _EITHER:
        return following.islower() or following.isdigit()
    return _is_initials(word, following)


def _is_initials(word: str, following: str) -> bool:
    parts = word.split(".")
    if not all(part.isalpha() and len(part) <= 2 for part in parts):
        return False
    if len(parts) > 1:
        return word.isupper() or following.islower()
    return len(word) == 1 and word.isupper() and word != "I"


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of `place` belong to one grapheme (a cheap reading of UAX 29)."""
    if place >= len(text):
        return False
    left, right = text[place - 1], text[place]
    if "\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff":
        return True
    if "\u200d" in (left, right) or "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f":
        return True
    if _is_regional(left) and _is_regional(right):
        head = text[max(0, place - 32) : place]
        return (len(head) - len(head.rstrip(_REGIONAL))) % 2 == 1
    return (left, right) == ("\r", "\n") or right in _THAI_AM or unicodedata.category(right) in _EXTENDERS


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


class Breaks:
    """The places where a sentence that grows too long could be cut; 0 means that there is none."""

    def __init__(self, first_weight: int) -> None:
        self._first_weight = first_weight
        self._minimum = min(20, first_weight // 2)
        self._index = 0
        self._clause = self._first_clause = 0
        self._space = self._early_space = self._late_space = 0
        self.has_speech = False
        self.weight = 0

    def early(self) -> int:
        """Where to cut a first segment that has grown too long."""
        if self.weight < self._first_weight:
            return 0
        return self._first_clause or self._early_space or self._late_space

    def late(self, longest: int) -> int:
        """Where to cut a segment of `longest` characters."""
        return self._clause if self._clause > longest // 4 else self._space

    def pass_over(self, character: str, length: int, before: str) -> None:
        """Note a character (with `length` - 1 more of its kind) that ended nothing; `before` precedes it."""
        index, self._index = self._index, self._index + length
        if character.isalnum():
            self.has_speech = True
            self.weight += 3 if is_wide(character) else 1
        elif self.has_speech:
            self.weight += length
            if character.isspace():
                self._note_space(character, before)
            elif character in _CLAUSE_MARKS or (character in _CLAUSE_TAIL and self._has_clause_at(index)):
                self._note_clause(index)

    def _has_clause_at(self, index: int) -> bool:
        return index in (self._clause, self._first_clause)

    def _note_space(self, character: str, before: str) -> None:
        if character in _NO_BREAK_SPACES or _is_inside_name(before):
            return
        index = self._index - 1
        self._space = self._index
        if self.weight <= self._first_weight * 3 // 4:
            self._early_space = self._index if self.weight >= self._minimum else 0
        elif not self._late_space:
            self._late_space = self._index
        if character == "\n" or self._has_clause_at(index) or _is_clause_end(before):
            self._note_clause(index)

    def _note_clause(self, index: int) -> None:
        self._clause = self._index
        if self._first_clause in (0, index) and self.weight >= self._minimum:
            self._first_clause = self._index


def _is_clause_end(before: str) -> bool:
    """Whether `before`, the text up to a white space, ends with a clause mark and perhaps its closers."""
    stripped = before.rstrip("\"')]}*_’”»")
    if stripped.endswith(".."):
        return True
    if not stripped or stripped[-1] not in _SPACED_CLAUSE_MARKS:
        return False
    # A hyphen or an en dash parts clauses only when it stands alone; otherwise it is in a word or a range.
    return stripped[-1] not in "–-" or stripped[-2:-1].isspace()


def _is_inside_name(before: str) -> bool:
    # A full stop that ended no sentence belongs to an abbreviation: "Dr." is not parted from "Smith".
    return before.endswith(".") and not before.endswith("..")
