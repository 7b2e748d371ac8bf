"""The articles in a part of a MediaWiki XML dump, as plain text. Runs in worker processes, so it imports little.

Pages come as XML between `<page>` and `</page>`; namespaces come from the dump's header.
"""

import bz2
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple
from xml.etree import ElementTree

import mwparserfromhell
from mwparserfromhell import nodes
from mwparserfromhell.wikicode import Wikicode

REDIRECTS = "redirects"
OTHER_NAMESPACES = "pages outside the article namespace"
UNPARSED = "pages whose markup cannot be parsed"
ARTICLES = "0"
# Their links carry no words of the sentence: File (once Image), and Category.
FILE_NAMESPACES = frozenset({"6", "14"})
ALWAYS_FILES = frozenset({"file", "image", "category"})
# Content that is not prose.
DROPPED_TAGS = frozenset(
    {"ref", "references", "table", "gallery", "math", "chem", "timeline", "score", "imagemap", "graph", "hiero"}
    | {"syntaxhighlight", "source", "pre", "code", "templatestyles", "mapframe", "maplink", "style", "script"}
)
BREAKS = frozenset({"br", "li", "dd", "dt", "hr", "p", "div"})


class Dump(NamedTuple):
    """Pages, and how to read them. compressed: pages are one bzip2 stream.  files: lower-case file namespaces."""

    pages: bytes
    compressed: bool
    files: frozenset[str]


def file_namespaces(header: bytes) -> frozenset[str]:
    """Names of the namespaces for files and categories, in the language of the wiki.

    header: the dump up to the first page.  Raises ElementTree.ParseError.
    """
    # The header is complete but for the end of the dump.
    root = ElementTree.fromstring(header + b"</mediawiki>")
    names = set(ALWAYS_FILES)
    for element in root.iter():
        if _name(element) == "namespace" and element.get("key") in FILE_NAMESPACES and element.text:
            names.add(element.text.strip().lower())
    return frozenset(names)


def article_texts(dump: Dump) -> tuple[list[str], Counter[str]]:
    """Title and text of each article, and reason -> number of pages left out.

    Raises ElementTree.ParseError for malformed XML, OSError or ValueError for a damaged stream.
    """
    pages = bz2.decompress(dump.pages) if dump.compressed else dump.pages
    pages = pages.removesuffix(b"\n").removesuffix(b"</mediawiki>")
    texts: list[str] = []
    left_out: Counter[str] = Counter()
    for page in ElementTree.fromstring(b"<mediawiki>" + pages + b"</mediawiki>"):
        found = {_name(element): element.text or "" for element in page}
        # The last revision is the current one, if the dump has the history.
        revisions = [element for element in page if _name(element) == "revision"]
        text = next((part.text or "" for part in revisions[-1] if _name(part) == "text"), "") if revisions else ""
        if found.get("ns", ARTICLES) != ARTICLES:
            left_out[OTHER_NAMESPACES] += 1
        elif "redirect" in found or text[:9].upper() == "#REDIRECT":
            left_out[REDIRECTS] += 1
        else:
            try:
                plain = plain_text(mwparserfromhell.parse(text), dump.files)
            except (mwparserfromhell.parser.ParserError, RecursionError):
                left_out[UNPARSED] += 1
                continue
            texts.append(f"{found.get('title', '')}\n{plain}")
    return texts, left_out


def plain_text(code: Wikicode, files: Collection[str]) -> str:
    """Text as a reader sees it, without templates, tables, references, formulas, files and categories.

    files: lower-case names of the namespaces whose links are dropped.
    """
    parts: list[str] = []
    _collect(code, files, parts)
    lines = (line.strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _collect(code: Wikicode, files: Collection[str], parts: list[str]) -> None:
    for node in code.nodes:
        match node:
            case nodes.Text():
                parts.append(node.value)
            case nodes.Wikilink():
                namespace, colon, _ = str(node.title).partition(":")
                if not colon or namespace.strip().lower() not in files:
                    _collect(node.text if node.text is not None else node.title, files, parts)
            case nodes.ExternalLink():
                if node.title is not None:
                    _collect(node.title, files, parts)
            case nodes.Heading():
                _collect(node.title, files, parts)
                parts.append("\n")
            case nodes.HTMLEntity():
                parts.append(node.normalize())
            case nodes.Tag():
                name = str(node.tag).strip().lower()
                if name in BREAKS:
                    parts.append("\n")
                if name not in DROPPED_TAGS and node.contents is not None:
                    _collect(node.contents, files, parts)


def _name(element: ElementTree.Element) -> str:
    """The tag without its XML namespace, which differs between versions of the format."""
    return element.tag.rpartition("}")[2]
