"""The page of all keys is what the models say."""

import re

from tests.config_docs import PAGE, page


def test_the_page_of_all_keys_is_what_the_models_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.config_docs --write"


def test_every_key_has_a_meaning():
    assert re.findall(r"^.*\|\s*\|$", page(), re.MULTILINE) == []
