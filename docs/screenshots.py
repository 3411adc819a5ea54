#!/usr/bin/python3
"""Turns what commands wrote on a terminal into SVG files: screenshots.sh writes it, Rich (Debian: python3-rich) draws it."""
import io
import pathlib
import re
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

WIDTH = 100

THEME = TerminalTheme(
    (22, 27, 34), (214, 220, 228),
    [(22, 27, 34), (255, 107, 107), (99, 209, 130), (230, 190, 90), (110, 168, 254), (200, 140, 240), (90, 200, 215), (214, 220, 228)],
    [(125, 135, 148), (255, 140, 140), (130, 230, 160), (245, 210, 120), (150, 195, 255), (220, 170, 250), (130, 220, 235), (255, 255, 255)])

# Rich's own, without the font that it would fetch: a picture in a README fetches nothing.
FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xml:space="preserve">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(name: str, screen: str) -> str:
    # What sets a terminal up, and is not seen.
    screen = re.sub(r"\x1b(\[[?0-9;]*[A-Za-ln-z]|[=>])", "", screen)
    # A terminal's line ends; and no more than one blank line, where the host leaves two.
    screen = re.sub(r"\n{3,}", "\n\n", screen.replace("\r", "")).strip("\n")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False, color_system="truecolor")
    console.print(Text.from_ansi(screen), soft_wrap=True, highlight=False)
    svg = console.export_svg(title="hsmremote", theme=THEME, code_format=FORMAT, font_aspect_ratio=0.602, unique_id=name)
    svg = re.sub(r"<text[^>]*>\n</text>", "", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    pictures = [part.split("\x1f", 1) for part in sys.stdin.read().split("\x1e")[1:]]
    if not pictures:
        sys.exit("screenshots.py: there is nothing to draw")
    for name, screen in pictures:
        (directory / f"{name}.svg").write_text(draw(name, screen), encoding="utf-8")
        print(f"screenshots.py: {directory / name}.svg")


main()
