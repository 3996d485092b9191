"""Pages of HTML as a browser would find them."""

from html.parser import HTMLParser

EMPTY = {"meta", "img"}


class Reader(HTMLParser):
    """Every element that opens, the text in it, and whether all are closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and text.strip():
            self.texts.append((self.open[-1], text))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]
