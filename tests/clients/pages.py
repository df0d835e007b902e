"""Code blocks of Markdown pages, which tests run as they stand."""

import dataclasses
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass
class Block:
    """A fenced block: the last heading above it, its language and its text without indentation."""

    heading: str
    language: str
    text: str


def blocks(page):
    text = (DOCS / page).read_text()
    found = []
    for fence in FENCE.finditer(text):
        indent, language, body = fence.groups()
        headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text[: fence.start()]), re.MULTILINE)
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        found.append(Block(headings[-1], language, "\n".join(lines) + "\n"))
    return found


def rows(page, heading):
    """Cells of the table below a heading, as {first cell: further cells}."""
    section = re.split(rf"^#+ {re.escape(heading)}$", (DOCS / page).read_text(), flags=re.MULTILINE)[1]
    table = re.search(r"^\|(?:.*\n\|)*.*$", section, re.MULTILINE)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return {first: rest for first, *rest in cells}
