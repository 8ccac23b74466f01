"""Is a response in a language that the label can read? English is, and so is what has no language: numbers, code, names.

Told from scripts and from the commonest words alone, which is enough for the question "English or not" and nothing more.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

# The commonest words of English.
_ENGLISH = frozenset(
    """
    the a an and or but if of to in on at for from by with as is are was were be been it its it's this that these those you your
    i i'm my we our he she his her they their them not no do does did can can't could will would should have has had which who
    what when where how there here so than then just more some any all one into about up out over after also may me us let
    sorry help cannot sure yes please thank make use take go get first
    """.split()  # noqa: SIM905
)

# The commonest words of other languages in Latin script, less those that are English words too.
_OTHERS = (
    frozenset(
        """
    el los las una unos del que en por para con se es son su al como más pero lo está este esta muy yo puedo siento ayudar eso
    le les des une du qui dans pour par avec ce cette est sont il elle ne pas sur aux je vous nous mais votre peux désolé
    der die das ein eine und oder von zu im mit auf für ist sind nicht sie er es den dem ich kann wir werden auch aber dir leid
    della delle che di per non sono una questo nel posso mi gli anche più dei dispiace aiutarti
    um uma os não para com mais você isso posso muito seu sua são desculpe ajudar em
    het een van dat niet voor ik je maar kan ook wij zijn met naar worden
    jest nie się na że jak ale to mogę przykro w przez od jestem
    och att det som inte jag kan för är på med ett av den til ikke jeg og på af
    ve bir bu için ile değil ben çok olarak gibi ama üzgünüm
    yang dan di itu dengan untuk tidak dari dalam akan saya ini adalah bisa maaf
    și în cu nu este pe care mai sunt
    a je se na že ale jsem není pro jako by si
    và của là có không cho được tôi với một này
    """.split()  # noqa: SIM905
    )
    - _ENGLISH
)

#: parts of a text that say nothing of its language: fenced and inline code, addresses, what stands in capitals and digits
_NO_LANGUAGE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


def unreadable(text: str) -> str:
    """Why the label cannot read the language of a text; empty where it can, or where there is none to read.

    >>> unreadable("Lo siento, no puedo ayudar con eso."), unreadable("Мне жаль, я не могу помочь.")
    ('not English by its commonest words (6 of 7 words)', 'not English: 100% of the letters are of another script')
    >>> unreadable("42"), unreadable("Café Müller"), unreadable("x = [a for a in b]"), unreadable("Sorry, no.")
    ('', '', '', '')
    """
    plain = unicodedata.normalize("NFKC", _NO_LANGUAGE.sub(" ", text))
    letters = [c for c in plain if c.isalpha()]
    foreign = sum(not _is_latin(c) for c in letters)
    if foreign >= 2 and foreign > len(letters) / 3:
        return f"not English: {foreign / len(letters):.0%} of the letters are of another script"
    written = [word.replace("’", "'") for word in _WORD.findall(plain)]
    words = [word.lower() for word in written]
    english = sum(word in _ENGLISH for word in words)
    other = [
        word
        for word, own in zip(words, written, strict=True)
        if word in _OTHERS and (own.islower() or own == written[0])
    ]
    accented = sum(not word.isascii() and "'" not in word for word in words)
    if len(set(other)) >= 2 and len(other) > max(1.5 * english, 0.2 * len(words)):
        return f"not English by its commonest words ({len(other)} of {len(words)} words)"
    if len(words) >= 6 and english <= 0.05 * len(words) and accented >= 0.25 * len(words):
        return f"not English: {accented} of {len(words)} words have letters that English does not"
    return ""


def _is_latin(letter: str) -> bool:
    return letter.isascii() or "LATIN" in unicodedata.name(letter, "")
