"""What may happen to a file: bytes lost, doubled, changed, moved, or replaced by what parsers stumble over."""

from hypothesis import strategies as st

_WORDS = (
    *(
        "",
        "\n",
        "\r",
        "\t",
        " ",
        "-",
        "-1",
        "0",
        "1e999",
        "1e-999",
        "nan",
        "inf",
        "1_0",
        "0x10",
        "0.5",
        "1.5",
        "9" * 5000,
    ),
    *("2147483648", "9223372036854775808", "99999999999999999999", "true", "null", "None", "\u0663", "2001-99-99"),
    *("..", "../", "/", "\\", "C:\\", '"', "'", ",", ":", ";", "#", "%", "&", "*", "<", ">", "=", "{", "}", "[", "]"),
    *("[" * 2000, '{"a":' * 2000, "<a>" * 2000, "- " * 2000, "&a [*a]", "*a", "<<: ", "? ", "!!map [a]", "!!int ''"),
    *("!!bool x", "!!timestamp x", "!!python/name:os.system", "0b_", "190:20:30", "\u2028", "\\ud800"),
    *("<!ENTITY x 'y'>", "&x;", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", "<![CDATA[", "<?xml encoding='utf-7'?>"),
    *("ImageId,PredictionString\n", "cos\nsystem\n"),
)
_BYTES = (b"\0", b"\xff", b"\xff" * 4, b"\x80\0\0\0", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x95")
NASTY = (*(word.encode() for word in _WORDS), *_BYTES)
spans = st.floats(0, 1, exclude_max=True)


@st.composite
def changes(draw) -> list:
    """Up to four changes that can be made to any content, see :func:`damaged`."""
    kinds = ("cut", "put", "put", "bytes", "bytes", "number", "double", "move", "end")
    return [
        (
            draw(st.sampled_from(kinds)),
            draw(spans),
            draw(spans),
            draw(st.sampled_from(NASTY)),
            draw(st.binary(max_size=5)),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]


def damaged(content: bytes, changes: list) -> bytes:
    """The content with the changes made, one after another."""
    for kind, where, length, nasty, noise in changes:
        start = int(where * (len(content) + 1))
        end = min(len(content), start + int(length**4 * 60))
        before, span, after = content[:start], content[start:end], content[end:]
        if kind == "cut":
            content = before + after
        elif kind == "put":  # in the place of a span, or of nothing
            content = before + nasty + (after if length > 0.5 else span + after)
        elif kind == "bytes":
            content = before + noise + content[start + len(noise) :]
        elif kind == "number":
            content = (
                before
                + bytes([(byte + 1 + int(length * 254)) % 256 for byte in content[start : start + 1]])
                + content[start + 1 :]
            )
        elif kind == "double":
            content = before + span * 3 + after
        elif kind == "move":
            content = after + before + span
        else:
            content = before
    return content
