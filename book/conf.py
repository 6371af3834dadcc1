"""The book: executed notebooks, results, datasheets, documents and the API as pages that work without a network.

`make book` builds it with Sphinx and MyST-NB from the files where they lie, so that the links between them stay links.
The README is its first page. Equations become MathML, which browsers show without a script.
"""
import json
import re
import shutil
import sys
import unicodedata
from contextlib import suppress
from html import escape
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from pygments.lexers import TextLexer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import weaklib  # noqa: E402

project, version, release = "weaklib", weaklib.__version__, weaklib.__version__
author = "weaklib contributors"
language = "en"

CONTENTS = """

```{toctree}
:hidden:
:caption: Notebooks
:glob:

/results/*/notebooks/*
```

```{toctree}
:hidden:
:caption: Results
:glob:

/results/README
/results/claims
```

```{toctree}
:hidden:
:caption: Corpora
:glob:

/weaklib/corpora/datasheets/*
```

```{toctree}
:hidden:
:caption: Documents
:glob:

/docs/*
/CONTRIBUTING
/book/api
```
"""
TABLES = """

```{toctree}
:hidden:
:glob:

gpu/*/*
full/*/*
laptop/*/*
```
"""

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/*.md", "results/*.md", "results/*/*/*.md",
                    "results/*/notebooks/*.ipynb", "weaklib/corpora/datasheets/*.md", "book/*.rst", "book/api/*.rst"]
exclude_patterns = [".*", "results/local", "book/_build"]
templates_path = [str(ROOT / "book" / "_templates")]  # absolute, as autosummary looks elsewhere

nb_execution_mode = "off"  # they have been
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables and equations in outputs
nb_ipywidgets_js = {}  # would be fetched; executed notebooks hold no widgets
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Contents", ("Options", "params_style")]
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # every method has a Config

html_theme = "furo"
html_title = "weaklib"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_copy_source = False
html_math_renderer = "mathml"


def read(app, docname: str, source: list[str]) -> None:
    """Give pages what they lack where they lie: contents, titles of their own, alternative text of figures."""
    if Path(app.env.doc2path(docname)).suffix == ".ipynb":
        source[0] = described(json.loads(source[0]))
        return
    source[0] = re.sub(r"\[([^\]]+)\]\((?:\.\./)*notebooks/(\w+\.ipynb)\)", executed, source[0])
    if docname == root_doc:
        source[0] += CONTENTS
    elif docname == "results/README":
        source[0] += TABLES
    elif table := re.fullmatch("results/([a-z]+)/([a-z]+[0-9]*)/.+", docname):  # "# <paper>", "## <table>"
        source[0] = re.sub(r"^# .*\n+## (.*)", rf"# \1 ({table[2]}, {table[1]})", source[0])


def executed(link: re.Match) -> str:
    """Let a link to a notebook lead to its executed copy, if there is one."""
    text, name = link.groups()
    found = sorted(ROOT.glob(f"results/*/notebooks/{name}"))
    return f"[{text}](/{found[0].relative_to(ROOT).as_posix()})" if found else text


def described(notebook: dict) -> str:
    """Put images into a notebook's outputs as HTML, since MyST-NB passes over their alternative text; and let links to
    other files lead from the top, for an executed notebook does not lie where it was written.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = "".join(cell["source"]).replace("](../", "](/")
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                image = "".join(output["data"]["image/png"]).replace("\n", "")
                output["data"] = {"text/html": f'<img alt="{escape(alt)}" src="data:image/png;base64,{image}">'}
    return json.dumps(notebook)


def mathml(display: str):
    """Return a function with which Sphinx writes equations, either ``inline`` or as a ``block``."""
    def visit(writer, node):
        equation = convert(tex(node.astext()), display=display)
        writer.body.append(re.sub('<mi mathvariant="script">([A-Z])</mi>', script, equation))
        raise SkipNode
    return visit


def tex(equation: str) -> str:
    """Write an equation as latex2mathml reads it, with its number set apart."""
    return equation.replace(r"\|", "‖").replace(r"\tag", r"\quad\tag")


def script(letter: re.Match) -> str:
    """Replace a letter of ``\\mathcal`` by its own character: browsers no longer know ``mathvariant``."""
    for name in ("SCRIPT CAPITAL", "MATHEMATICAL SCRIPT CAPITAL"):
        with suppress(KeyError):
            return f"<mi>{unicodedata.lookup(f'{name} {letter[1]}')}</mi>"


def page(app, name: str, template: str, context: dict, doctree) -> None:
    """Give the captions of the sidebar, which are headings, their level."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def finish(app, exception) -> None:
    """Make the first page the one that a browser opens in a folder."""
    if not exception and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", read)
    app.connect("html-page-context", page, priority=900)  # after furo
    app.connect("build-finished", finish)
