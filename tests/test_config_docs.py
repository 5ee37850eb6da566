"""The page of all keys is what the models say."""

import re

from tests.config_docs import PAGE, page


def test_the_page_of_all_keys_is_what_the_models_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.config_docs --write"


def test_every_key_has_a_meaning():
    assert re.findall(r"^.*\|\s*\|$", page(), re.MULTILINE) == []


def test_every_section_that_a_key_links_to_has_a_heading():
    headings = re.findall(r"^### (.*)$", page(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert len(anchors) == len(headings)
    assert set(re.findall(r"\]\(#([^)]*)\)", page())) == anchors
