"""What joins patient ids, from tables alone: no image is opened here.

``subject_links.csv`` holds the links that were found between patients of C-NMC 2019 (see
``data.duplicates``), ``official_duplicates.csv`` the files that its published list holds twice,
byte for byte. Both also hold on a machine where the fold that shows them is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pandas as pd

from lcc_utils.data.official import patient_order
from lcc_utils.errors import DataError

__all__ = [
    "ELSEWHERE",
    "FILE",
    "PIXELS",
    "TEXTURE",
    "duplicate_groups",
    "found_links",
    "group_links",
    "join",
    "known_links",
    "official_duplicates",
]

FILE, PIXELS, TEXTURE = "identical file", "identical pixels", "texture"
ELSEWHERE = "an id that is not here"
LARGEST_GROUP = 8
COLUMNS = ["patient_a", "patient_b", "evidence", "pairs", "correlation"]
_LINKS = Path(__file__).with_name("subject_links.csv")
_DUPLICATES = Path(__file__).with_name("official_duplicates.csv")
_DUPLICATE_COLUMNS = ["group", "phase", "fold", "class", "patient", "cell_id"]
_PHASES = ["train", "prelim", "final"]


def known_links() -> pd.DataFrame:
    """Return the links between patients of C-NMC 2019 that the package keeps.

    Returns
    -------
    pandas.DataFrame
        ``patient_a``, ``patient_b``; ``evidence`` (``identical`` or ``texture``); ``pairs``, how
        many pairs of cells, 0 where they were not counted; ``correlation``, the largest;
        ``source`` (``manifest``, ``pixels`` or ``audit``).
    """
    return pd.read_csv(_LINKS, dtype={"patient_a": "str", "patient_b": "str"})


def official_duplicates() -> pd.DataFrame:
    """Return the files that the published list of C-NMC 2019 holds more than once.

    Returns
    -------
    pandas.DataFrame
        What :func:`duplicate_groups` gives for that list.
    """
    kept = pd.read_csv(_DUPLICATES, dtype=str, keep_default_na=False)
    return kept.astype({"group": "int64"}).assign(fold=pd.to_numeric(kept["fold"]).astype("Int64"))


def duplicate_groups(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the files of a list that are there more than once, byte for byte.

    Parameters
    ----------
    manifest
        A list of files, all of it text: ``phase, fold, class, patient, original_name, sha256``.

    Returns
    -------
    pandas.DataFrame
        One row a file: ``group``, counted from 1, by phase and by the first cell of each group;
        ``phase, fold, class, patient``, which are missing or empty where the list has none, as in
        the final phase; ``cell_id``, as ``data.naming`` has it.
    """
    twice = manifest[manifest["sha256"].duplicated(keep=False)]
    names = [name.rsplit(".", 1)[0] for name in twice["original_name"]]
    ids = [
        name if patient else f"final_{name}"
        for name, patient in zip(names, twice["patient"], strict=True)
    ]
    found = twice.assign(cell_id=ids, fold=pd.to_numeric(twice["fold"]).astype("Int64"))
    keys = map(_place, found["phase"], found["patient"], found["cell_id"])
    found = found.assign(place=list(keys)).sort_values("place", kind="stable")
    order = {digest: n for n, digest in enumerate(found["sha256"].unique(), start=1)}
    found["group"] = found["sha256"].map(order).astype("int64")
    # A stable order by group keeps the files of each group in their places.
    return found.sort_values("group", kind="stable")[_DUPLICATE_COLUMNS].reset_index(drop=True)


def group_links(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what joins the patient ids of each subject of these cells.

    Parameters
    ----------
    cells
        ``patient, subject`` and, to count identical pixels, ``pixel_sha256``; of a run, what its
        ``cells.csv`` holds. ``attrs["dataset"]`` says whether the links kept for C-NMC 2019 hold.

    Returns
    -------
    pandas.DataFrame
        ``patient_a``, ``patient_b`` in natural order; ``evidence``; ``pairs``, missing where they
        were not counted; ``correlation``, the largest. For C-NMC 2019 one or both of the ids may
        have no cell here. Ids of one subject that neither identical pixels nor a kept link join
        were joined by texture when the run looked at its pixels.
    """
    here = set(_named(cells)["patient"])
    own, kept = _identical(cells), _kept(cells, here)
    listed = set(_ends(kept[kept["evidence"] == FILE]))
    own["evidence"] = [FILE if ends in listed else PIXELS for ends in _ends(own)]
    links = _table(pd.concat([own, kept]).drop_duplicates(COLUMNS[:2]))
    return _sorted(pd.concat([links, _bridges(cells, links, TEXTURE)]))


def found_links(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the links of :func:`group_links` whose two ids both have cells here.

    Ids of one subject that are joined through an id without cells here, and by nothing else, have
    a row with the evidence :data:`ELSEWHERE`.
    """
    here = set(_named(cells)["patient"])
    links = group_links(cells)
    links = links[links["patient_a"].isin(here) & links["patient_b"].isin(here)]
    return _sorted(pd.concat([links, _bridges(cells, links, ELSEWHERE)]))


def join(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the smallest fellow of each patient that is linked to another.

    Raises
    ------
    DataError
        If more than eight patients would become one.
    """
    group: dict[str, set[str]] = {}
    for a, b in pairs:
        merged = group.get(a, {a}) | group.get(b, {b})
        group.update(dict.fromkeys(merged, merged))
    for members in group.values():
        if len(members) > LARGEST_GROUP:
            names = ", ".join(sorted(members, key=patient_order))
            raise DataError(
                f"{len(members)} patients would become one subject ({names}), more than "
                f"{LARGEST_GROUP}: chance likenesses have chained unrelated patients. Look at the "
                "pairs that link them (find_pairs) and pass only links that hold."
            )
    return {patient: min(members, key=patient_order) for patient, members in group.items()}


def _place(phase: str, patient: str, cell_id: str) -> tuple:
    """Return where a file stands in the list: by phase, patient, image and cell."""
    numbers = [int(part) for part in cell_id.split("_") if part.isdigit()]
    return _PHASES.index(phase), patient_order(patient) if patient else (), numbers


def _identical(cells: pd.DataFrame) -> pd.DataFrame:
    """Count the pairs of cells with the same pixels between two patients."""
    if "pixel_sha256" not in cells:
        return _table([])
    named = _named(cells)
    counts: dict[tuple[str, str], int] = {}
    same = named[named["pixel_sha256"].duplicated(keep=False)]
    for _, group in same.groupby("pixel_sha256"):
        for a, b in combinations(sorted(group["patient"], key=patient_order), 2):
            if a != b:
                counts[a, b] = counts.get((a, b), 0) + 1
    return _table([(a, b, PIXELS, n, 1.0) for (a, b), n in counts.items()])


def _kept(cells: pd.DataFrame, here: set[str]) -> pd.DataFrame:
    """Return the kept links of every subject that has a patient here."""
    if cells.attrs.get("dataset") == "synthetic":
        return _table([])
    known = known_links()
    subject = join(_ends(known))
    concerned = {subject[patient] for patient in here if patient in subject}
    links = known[known["patient_a"].map(subject).isin(concerned)]
    return _table(
        links.assign(
            evidence=links["source"].map({"manifest": FILE}).fillna(TEXTURE),
            pairs=links["pairs"].where(links["pairs"] > 0),
        )[COLUMNS]
    )


def _bridges(cells: pd.DataFrame, links: pd.DataFrame, evidence: str) -> pd.DataFrame:
    """Join the ids of each subject that the links leave apart."""
    fellow = join(_ends(links))
    rows = []
    for _, patients in _named(cells).groupby("subject")["patient"]:
        apart: dict[str, str] = {}
        for patient in sorted(set(patients), key=patient_order):
            apart.setdefault(fellow.get(patient, patient), patient)
        first, *others = apart.values()
        rows += [(first, other, evidence, None, None) for other in others]
    return _table(rows)


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that have a patient; without subjects, each patient is one."""
    patient = cells["patient"].astype("string").fillna("").astype("str")
    subject = cells.get("subject", patient)
    named = cells.assign(patient=patient, subject=subject)
    return named[named["patient"] != ""]


def _ends(links: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(links["patient_a"], links["patient_b"], strict=True))


def _table(rows: pd.DataFrame | list[tuple]) -> pd.DataFrame:
    text = dict.fromkeys(COLUMNS[:3], "str")
    types = text | {"pairs": "Int64", "correlation": "float64"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(types)


def _sorted(links: pd.DataFrame) -> pd.DataFrame:
    keys = [patient_order(a) + patient_order(b) for a, b in _ends(links)]
    return links.iloc[sorted(range(len(links)), key=keys.__getitem__)].reset_index(drop=True)
