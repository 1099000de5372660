"""How Sphinx builds the API reference from the docstrings: `make docs`."""

from asd_core import __version__

project = "asd_core"
author = "the authors of asd_core"
project_copyright = "MIT licence"
release = version = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
default_role = "py:obj"  # names in single backticks are linked where they are known
add_module_names = False
nitpicky = False
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "260px", "description": "Anomalous sound detection"}
html_show_sourcelink = False
html_copy_source = False
