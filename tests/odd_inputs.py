"""The oddest inputs a device will be sent, in one place: the same ids and labels on every machine.

Written with escapes, since most of these characters cannot be seen, and some editors change them.
"""

from __future__ import annotations

#: Name to text; every one of them has an answer.
TEXTS: dict[str, str] = {
    "nothing": "",
    "one space": " ",
    "spaces": " " * 37,
    "tabs and form feeds": "\t\t\x0b\x0c\t",
    "line feeds": "\n\n\n",
    "CRLF": "good\r\nfilm\r\n",
    "lone CR": "good\rfilm",
    "no-break spaces": "good\u00a0film\u202f!",
    "wide and thin spaces": "good\u3000film\u2009by\u2003far",
    "zero-width space": "go\u200bod fi\u200blm",
    "line separator": "good\u2028film\u2029indeed",
    "next line": "good\u0085film",
    "byte order mark": "\ufeffgood film",
    "byte order mark within": "good\ufefffilm",
    "NUL": "good\x00film",
    "NUL alone": "\x00",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f",
    "C1 controls": "".join(map(chr, range(0x80, 0xA0))),
    "composed": "caf\u00e9 na\u00efve",
    "decomposed": "cafe\u0301 nai\u0308ve",
    "a heap of combining marks": "z" + "\u0300\u0301\u0302\u0303\u0304" * 8 + "algo",
    "a mark with no letter": "\u0301",
    "Hangul syllables and jamo": "\ud55c\uae00 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "ligatures and full width": "\ufb01lm \uff26\uff29\uff2c\uff2d \u2460 \u2122",
    "dotted and dotless i": "\u0130stanbul \u0131\u015f\u0131k \u00df\u1e9e",
    "ZWJ family": "a \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 film",
    "skin tone and flag": "\U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea \U0001f3f4\U000e0067\U000e007f",
    "variation selectors": "\u2764\ufe0f \u2764\ufe0e",
    "right to left": "\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639, \u05e1\u05e8\u05d8 \u05d8\u05d5",
    "direction overrides": "\u202egood\u202c \u2067film\u2069",
    "scripts beyond the vocabulary": "\u1201\u1208 \u0e20\u0e32 \u10e4\u10d8 \U00010330\U00010331",
    "private use and last code points": "\ue000 \U000f0000 \U0010fffd \U0010ffff \ufffe \ufffd",
    "special tokens typed": "<s> good <mask> film </s><unk>",
    "mask alone": "<mask>",
    "mask in a word": "un<mask>able |||IP_ADDRESS|||",
    "one very long word": "a" * 5000,
    "one emoji many times": "\U0001f600" * 700,
    "100,000 characters": "very good film. " * 6250,
    "digits and punctuation": "0123456789" * 6 + "!?.,;:'\"()[]{}#$%&*+-/<=>@\\^_`|~",
    "code": 'print(\'\\u0041\', r"C:\\new", {"a": [1, 2]})  # \\x00 &amp; %20',
}

#: Texts with the padding token in them: tokenized as any, but no model here has an answer to them.
PADDED: dict[str, str] = {"pad alone": "<pad>", "pad among others": "<s> good <pad> film <mask> </s><unk>"}

#: Name to something that is no text, and what the refusal says.
REFUSED: dict[str, tuple[str, str]] = {
    "lone high surrogate": (
        "good \ud83d film",
        "lone surrogate U+D83D at character 5: this is not valid Unicode",
    ),
    "lone low surrogate": ("\udc00", "lone surrogate U+DC00 at character 0: this is not valid Unicode"),
    "surrogates in the wrong order": (
        "\ude00\ud83d",
        "lone surrogate U+DE00 at character 0: this is not valid Unicode",
    ),
    "an undecodable byte": (
        b"\xff film".decode("utf-8", "surrogateescape"),
        "lone surrogate U+DCFF at character 0: this is not valid Unicode",
    ),
}
