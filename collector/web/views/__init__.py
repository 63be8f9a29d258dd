"""The views of the pages, one module for each page. A view gathers the values of its page."""
