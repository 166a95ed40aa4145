"""Whether every link of the built site leads somewhere: ``python docs/links.py`` after ``mkdocs build``.

mkdocs looks at links between Markdown pages; here the pages are read as a browser gets them: links of the theme and of the reference too,
pictures, style sheets, and the places on a page that they name. Addresses elsewhere are listed with ``--outside``, not fetched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parents[1] / "site"
ATTRIBUTES = ("href", "src")


class Page(HTMLParser):
    """The links of a page, and the places that a link can name."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to, and its name."""
        for name, value in attrs:
            if value and name in ATTRIBUTES:
                self.links.append(value)
            elif value and (name == "id" or (tag == "a" and name == "name")):
                self.places.add(value)


def read(site: Path) -> dict[Path, Page]:
    """All pages of a site."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        pages[file.resolve()] = page = Page()
        page.feed(file.read_text(encoding="utf-8"))
    return pages


def dead(site: Path) -> Iterator[str]:
    """Each link that leads nowhere, with its page."""
    pages = read(site)
    for file, page in pages.items():
        for link in dict.fromkeys(page.links):
            at = urlsplit(link)
            if at.scheme or at.netloc:
                continue
            start = site if at.path.startswith("/") else file.parent
            target = (start / unquote(at.path).lstrip("/")).resolve() if at.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{file.relative_to(site.resolve())}: {link} is not there"
            elif target in pages and unquote(at.fragment) not in pages[target].places and not at.fragment.startswith("__"):
                yield f"{file.relative_to(site.resolve())}: {link} names no place of that page"


def outside(site: Path) -> list[str]:
    """Addresses elsewhere."""
    return sorted({link for page in read(site).values() for link in page.links if urlsplit(link).netloc})


def main(arguments: Sequence[str]) -> None:
    """Print dead links and fail, or list the addresses elsewhere."""
    found = outside(SITE) if "--outside" in arguments else list(dead(SITE))
    print("\n".join(found) if found else f"{len(read(SITE))} pages, no dead link")
    if found and "--outside" not in arguments:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
