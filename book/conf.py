"""The book: executed notebooks, results, datasheets, documents and the API as pages that work without a network.

`make book` builds it with Sphinx and MyST-NB from the files where they lie, so that the links between them stay links.
The README is its first page. Equations become MathML, which browsers show without a script.
"""
import json
import shutil
import sys
from html import escape
from pathlib import Path

from latex2mathml.converter import convert

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
/results/gpu/*/*
/results/full/*/*
/results/laptop/*/*
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

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/*.md", "results/*.md", "results/*/*/*.md",
                    "results/*/notebooks/*.ipynb", "weaklib/corpora/datasheets/*.md", "book/*.rst", "book/api/*.rst"]
exclude_patterns = [".*", "results/local", "book/_build"]
templates_path = ["_templates"]

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
napoleon_custom_sections = ["Contents", "Options"]
default_role = "py:obj"

html_theme = "furo"
html_title = "weaklib"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_math_renderer = "mathml"


def read(app, docname: str, source: list[str]) -> None:
    """Give the first page the contents of the book, and the figures of notebooks their alternative text."""
    if docname == root_doc:
        source[0] += CONTENTS
    elif Path(app.env.doc2path(docname)).suffix == ".ipynb":
        source[0] = described(json.loads(source[0]))


def described(notebook: dict) -> str:
    """Put images into a notebook's outputs as HTML, since MyST-NB passes over their alternative text."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                image = "".join(output["data"]["image/png"]).replace("\n", "")
                output["data"] = {"text/html": f'<img alt="{escape(alt)}" src="data:image/png;base64,{image}">'}
    return json.dumps(notebook)


def mathml(display: str):
    """Return a function with which Sphinx writes equations, either ``inline`` or as a ``block``."""
    def visit(writer, node):
        from docutils.nodes import SkipNode
        writer.body.append(convert(node.astext(), display=display))
        raise SkipNode
    return visit


def finish(app, exception) -> None:
    """Make the first page the one that a browser opens in a folder."""
    if not exception and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.connect("source-read", read)
    app.connect("build-finished", finish)
