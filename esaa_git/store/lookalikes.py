"""What looks like a letter, a digit or the hyphen of our names, and what shows nothing at all.

From the tables of Unicode: of confusables.txt (Unicode Technical Standard 39) each code point that
it takes for one of these, the small capitals and Coptic letters that it leaves out, and the dashes
(category Pd). Unseen are Default_Ignorable_Code_Point, category Cf, and two blanks. They are
written down here, and not asked of a Python's own tables, so that every reader sees the same.
"""

from __future__ import annotations

UNSEEN = (
    # Cf and Default_Ignorable_Code_Point of DerivedCoreProperties.txt, Unicode 16
    "\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # blank: a Braille cell without dots, a note head without ink
    "\u2800\U0001d159"
)
"""Part of a character class: what a reader does not see."""

LOOKALIKES = {
    "a": (
        "\u0251\u0391\u03b1\u0410\u0430\u13aa\u15c5\u1d00\u237a\u2c80\u2c81\ua4ee\U000102a0"
        "\U00016f40\U0001d6a8\U0001d6c2\U0001d6e2\U0001d6fc\U0001d71c\U0001d736\U0001d756"
        "\U0001d770\U0001d790\U0001d7aa"
    ),
    "c": (
        "\u03f2\u03f9\u0421\u0441\u13df\u1d04\u2ca4\u2ca5\ua4da\uabaf\U000102a2\U00010302"
        "\U00010415\U0001043d\U0001051c\U000118e9\U000118f2\U0001f74c"
    ),
    "d": "\u0501\u13a0\u13e7\u146f\u15de\u15ea\u1d05\ua4d2\ua4d3",
    "e": (
        "\u025b\u0395\u03b5\u0415\u0435\u0454\u04bd\u13ac\u1d07\u212e\u22ff\u2c88\u2c89\u2d39"
        "\ua4f0\uab32\U00010286\U000118a6\U000118ae\U0001d6ac\U0001d6e6\U0001d720\U0001d75a"
        "\U0001d794"
    ),
    "g": "\u018d\u0261\u0262\u050c\u0581\u13c0\u13f3\u1d83\ua4d6",
    "h": (
        "\u029c\u0397\u041d\u043d\u04bb\u0570\u13bb\u13c2\u157c\u2c8e\ua4e7\U000102cf"
        "\U0001d6ae\U0001d6e8\U0001d722\U0001d75c\U0001d796"
    ),
    "i": (
        "\u0131\u0269\u026a\u02db\u037a\u03b9\u0456\u04cf\u13a5\u1fbe\u2373\ua647\uab75"
        "\U000118c3\U0001d6a4\U0001d6ca\U0001d704\U0001d73e\U0001d778\U0001d7b2"
    ),
    "k": (
        "\u039a\u03ba\u041a\u043a\u13e6\u16d5\u1d0b\u2c94\u2c95\ua4d7\U00010518\U0001d6b1"
        "\U0001d6eb\U0001d725\U0001d75f\U0001d799"
    ),
    "l": (
        "\u0196\u01c0\u029f\u0399\u0406\u04c0\u06f1\u13de\u14aa\u16c1\u2223\u23fd\u2c92\u2cd0"
        "\u2d4f\ua4e1\ua4f2\uffe8\U0001028a\U00010309\U00010320\U0001041b\U00010526\U000118a3"
        "\U000118b2\U00016f16\U00016f28\U0001d22a\U0001d6b0\U0001d6ea\U0001d724\U0001d75e"
        "\U0001d798"
    ),
    "m": (
        "\u039c\u03fa\u041c\u043c\u13b7\u15f0\u16d6\u1d0d\u2c98\u2c99\ua4df\U000102b0"
        "\U00010311\U0001d6b3\U0001d6ed\U0001d727\U0001d761\U0001d79b"
    ),
    "n": (
        "\u0274\u039d\u03b7\u043f\u0578\u057c\u2c9a\u2c9b\ua4e0\U00010513\U0001d6b4\U0001d6ee"
        "\U0001d728\U0001d762\U0001d79c"
    ),
    "o": (
        "\u039f\u03bf\u03c3\u041e\u043e\u0555\u0585\u06f5\u0966\u09e6\u0a66\u0ae6\u0b20\u0b66"
        "\u0be6\u0c02\u0c66\u0c82\u0ce6\u0d02\u0d20\u0d66\u0d82\u0e50\u0ed0\u101d\u1040\u10ff"
        "\u12d0\u1d0f\u1d11\u2c9e\u2c9f\u2d54\u3007\ua4f3\uab3d\U00010292\U000102ab\U00010404"
        "\U0001042c\U000104c2\U000104ea\U00010516\U000114d0\U000118b5\U000118c8\U000118d7"
        "\U000118e0\U0001d6b6\U0001d6d0\U0001d6d4\U0001d6f0\U0001d70a\U0001d70e\U0001d72a"
        "\U0001d744\U0001d748\U0001d764\U0001d77e\U0001d782\U0001d79e\U0001d7b8\U0001d7bc"
    ),
    "p": (
        "\u03a1\u03c1\u03f1\u0420\u0440\u13e2\u146d\u1d18\u2374\u2ca2\u2ca3\ua4d1\U00010295"
        "\U0001d6b8\U0001d6d2\U0001d6e0\U0001d6f2\U0001d70c\U0001d71a\U0001d72c\U0001d746"
        "\U0001d754\U0001d766\U0001d780\U0001d78e\U0001d7a0\U0001d7ba\U0001d7c8"
    ),
    "q": "\u051b\u0563\u0566\u2d55\ua7af",
    "r": (
        "\u01a6\u0280\u0433\u13a1\u13d2\u1587\u1d26\u2c85\ua4e3\uab47\uab48\uab81\U000104b4"
        "\U00016f35\U0001d216"
    ),
    "s": (
        "\u01bd\u0405\u0455\u054f\u13d5\u13da\ua4e2\ua731\uabaa\U00010296\U00010420\U00010448"
        "\U000118c1\U00016f3a"
    ),
    "t": (
        "\u03a4\u03c4\u0422\u0442\u13a2\u1d1b\u22a4\u27d9\u2ca6\u2ca7\ua4d4\U00010297"
        "\U000102b1\U00010315\U000118bc\U00016f0a\U0001d6bb\U0001d6f5\U0001d72f\U0001d769"
        "\U0001d7a3\U0001f768"
    ),
    "u": (
        "\u028b\u03c5\u054d\u057d\u1200\u144c\u1d1c\u222a\u22c3\ua4f4\ua79f\uab4e\uab52"
        "\U000104ce\U000104f6\U000118b8\U000118d8\U00016f42\U0001d6d6\U0001d710\U0001d74a"
        "\U0001d784\U0001d7be"
    ),
    "v": (
        "\u03bd\u0474\u0475\u06f7\u13d9\u142f\u1d20\u2228\u22c1\u2d38\ua4e6\ua6df\uaba9"
        "\U0001051d\U00011706\U000118a0\U000118c0\U00016f08\U0001d20d\U0001d6ce\U0001d708"
        "\U0001d742\U0001d77c\U0001d7b6"
    ),
    "2": "\u01a7\u03e8\u14bf\ua644\ua6ef\ua75a",
    "5": "\u01bc\U000118bb",
    "6": "\u0431\u13ee\u2cd2\U000118d5",
    "-": (
        "\u02d7\u058a\u05be\u06d4\u1400\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212"
        "\u2796\u2cba\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0\u30fc\ufe31\ufe32"
        "\ufe58\U00010ead"
    ),
    ".": "\u06f0\ua4f8\ua60e\U0001d16d",
}
"""By the character of our names, what is taken for it, beside its forms in NFKC."""
