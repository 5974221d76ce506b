"""Hooks of the site: pages and figures from outside ``docs/``, notebooks, and equations.

Links in the pages are those of the repository, so that they work in a clone as well; here they
become those of the site. Equations (```` ```math ```` blocks and ``$`…`$``) become MathML, which
browsers show without a script.
"""

import json
import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "experiments/README.md": "studies.md",
    "experiments/benchmarks/README.md": "benchmarks.md",
    **{
        f"notebooks/{path.name}": f"notebooks/{path.stem}.md"
        for path in ROOT.glob("notebooks/*.ipynb")
    },
}
FIGURES = {
    f"experiments/figures/{path.name}": f"figures/{path.name}"
    for path in ROOT.glob("experiments/figures/*")
}
EXAMPLE = "examples/my_project"
PAGES[f"{EXAMPLE}/README.md"] = "example.md"
EXAMPLE_CODE = {
    path.relative_to(ROOT).as_posix(): f"example.md#{path.name.replace('.', '-')}"
    for pattern in ("my_project/[!_]*.py", "my_project/conf/experiment/*.yaml", "run.sh")
    for path in sorted((ROOT / EXAMPLE).glob(pattern))
}
OUTSIDE = PAGES | FIGURES
SOURCES = {site: source for source, site in OUTSIDE.items()}

LINK = re.compile(r"(?<=\]\()(?!https?://|#)([^)#\s]+)")
NUMBER = re.compile(r"(?<=\d) (?=[±%·]|\d{3}\b|ms\b|min\b)|(?<=[±·]) (?=\d)")
CODE = re.compile(r"(<(?:pre|code)\b.*?</(?:pre|code)>)", re.DOTALL)
EQUATION = re.compile(r"^```math\n(.+?)\n```$|\$`([^`]+)`\$", re.DOTALL | re.MULTILINE)

log = logging.getLogger("mkdocs.hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and figures that lie outside ``docs/``."""
    for source, site in OUTSIDE.items():
        path = ROOT / source
        if path.suffix == ".ipynb":
            files.append(File.generated(config, site, content=notebook_page(path)))
        elif site == "example.md":
            files.append(File.generated(config, site, content=example_page(path)))
        else:
            files.append(File.generated(config, site, abs_src_path=str(path)))
    return files


def notebook_page(path: Path) -> str:
    """Write a notebook with its stored outputs as Markdown."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts = ["---\nhide: [toc]\n---"]  # code is wide
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(output) for output in cell.get("outputs", [])]
    return "\n\n".join(parts)


def example_page(readme: Path) -> str:
    """Write the README of the example with the code that it links to."""
    parts = [readme.read_text(encoding="utf-8")]
    for source, site in EXAMPLE_CODE.items():
        path = ROOT / source
        code = f"```{path.suffix[1:]}\n{path.read_text(encoding='utf-8')}```"
        parts.append(f"## `{path.name}` {{#{site.partition('#')[2]}}}\n\n{code}")
    return "\n\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text']).rstrip()}\n```"
    data = output.get("data", {})
    if "image/png" in data:
        encoded = "".join(data["image/png"]).replace("\n", "")
        return f'<p><img alt="Output of the cell above" src="data:image/png;base64,{encoded}"></p>'
    return f"```text\n{''.join(data.get('text/plain', []))}\n```"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn the repository's links into the site's, and set equations aside."""
    here = page.file.src_uri
    source = SOURCES.get(here, f"docs/{here}")
    equations: list[str] = []

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        links = OUTSIDE | EXAMPLE_CODE
        site = links.get(target, target.removeprefix("docs/"))
        if target not in links and not (ROOT / "docs" / site).is_file():
            log.warning("%s links to %s, which is no part of the site", source, match[1])
        return posixpath.relpath(site, posixpath.dirname(here) or ".")

    def equation(match: re.Match[str]) -> str:
        block = match[1] is not None
        equations.append(convert(match[1] or match[2], display="block" if block else "inline"))
        mark = f"@equation{len(equations) - 1}@"
        return f"\n{mark}\n" if block else mark

    markdown = EQUATION.sub(equation, markdown)
    page.meta["equations"] = equations
    return LINK.sub(link, markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put the equations in, and keep each number on one line."""
    parts = CODE.split(html)
    parts[::2] = [NUMBER.sub("\N{NO-BREAK SPACE}", part) for part in parts[::2]]
    equations = page.meta["equations"]
    return re.sub(r"@equation(\d+)@", lambda match: equations[int(match[1])], "".join(parts))
