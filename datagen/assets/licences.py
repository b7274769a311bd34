"""Licences that can be ranked, from the freest to the strictest, and what a set of them comes to.

The order is by what is asked of who passes the data on: nothing, a notice, the same terms (share-alike), no
commerce, no changes. It says which terms to keep; whether two of them can be kept together is for a lawyer.
"""

import re
from collections.abc import Iterable

UNKNOWN = "unknown"

# Without a licence, as works of public bodies are: `public domain`, and whose in brackets.
_PUBLIC_DOMAIN = "public domain"
_IS_PUBLIC_DOMAIN = re.compile(r"public domain( \([^()]*\))?", re.IGNORECASE)

# SPDX name -> the Hub's identifier. What is not in the table is not ranked.
_LICENCES = {
    _PUBLIC_DOMAIN: "other",
    "CC0-1.0": "cc0-1.0",
    "MIT": "mit",
    "BSD-3-Clause": "bsd-3-clause",
    "Apache-2.0": "apache-2.0",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-2.5": "cc-by-2.5",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC-BY-NC-2.0": "cc-by-nc-2.0",
    "CC-BY-NC-3.0": "cc-by-nc-3.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-2.0": "cc-by-nc-sa-2.0",
    "CC-BY-NC-SA-3.0": "cc-by-nc-sa-3.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-NC-ND-3.0": "cc-by-nc-nd-3.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
}
_RANKS = {name: rank for rank, name in enumerate(_LICENCES)}


def strictest_licence(licences: Iterable[str]) -> str | None:
    """The strictest of `licences`, or None if there is none, or one that cannot be ranked."""
    named = {_known(licence) for licence in licences}
    if not named or None in named:
        return None
    return max(named, key=lambda licence: _RANKS[licence])


def unknown_licences(licences: Iterable[str]) -> list[str]:
    """Those that the table does not hold, sorted, each once."""
    return sorted({licence for licence in licences if _known(licence) is None})


def _known(licence: str) -> str | None:
    """Its name in the table."""
    if _IS_PUBLIC_DOMAIN.fullmatch(licence):
        return _PUBLIC_DOMAIN
    return licence if licence in _LICENCES else None


def hub_licence(licence: str | None) -> str:
    """The Hugging Face Hub's identifier of what `strictest_licence` gives; `unknown` for None."""
    return _LICENCES[licence] if licence else UNKNOWN


def licence_url(licence: str | None) -> str:
    """Where what `strictest_licence` gives can be read; `unknown` for None."""
    if licence == _PUBLIC_DOMAIN:
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    return f"https://spdx.org/licenses/{licence}.html" if licence else UNKNOWN
